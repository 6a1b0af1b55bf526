// SPDX-License-Identifier: Apache-2.0
#include "daemon/offline_fill.hpp"

#include "base/log.hpp"
#include "daemon/cookies.hpp"
#include "protocol/prepopulate.hpp"

#include <cerrno>
#include <fmt/format.h>

namespace sluice::daemon {

namespace {

struct Registration {
    Registration(std::map<Digest, const BlobFiller*>& table, const Digest& of, const BlobFiller& filler)
        : filling{table}, digest{of}
    {
        filling.insert_or_assign(digest, &filler);
    }

    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

    ~Registration() { filling.erase(digest); }

    std::map<Digest, const BlobFiller*>& filling;
    Digest digest;
};

} // namespace

Task<Result<void>> OfflineFill::complete(std::shared_ptr<BlobTree> tree)
{
    const auto& blob = tree->blob();
    const auto cookie = cookie_of(blob.digest);
    if (const auto* open = front_ends_.find(blob.digest); open != nullptr) {
        const auto present = open->bytes_present();
        if (present && *present == blob.erofs_size) {
            co_return Result<void>{};
        }
        co_return fail(
            ErrorKind::kUnsupported,
            fmt::format("blob {} is mounted while incomplete; unmount it first", blob.digest.to_string())
        );
    }
    auto look = [dir = place_.cache_dir, volume = place_.volume, cookie] {
        return protocol::find_committed(dir, volume, cookie);
    };
    const auto committed = co_await services_.workers.run(services_.loop, std::move(look));
    if (committed && committed->size == blob.erofs_size && committed->present >= blob.erofs_size) {
        co_return Result<void>{};
    }

    // A committed file with holes is filled where it lies: nobody has it open, and each block is proved before the
    // write.
    std::shared_ptr<protocol::FileHandle> file;
    std::optional<protocol::Prepopulation> fresh;
    if (committed && committed->size == blob.erofs_size) {
        auto opened = protocol::FileHandle::open(committed->path, blob.erofs_size);
        if (!opened) {
            co_return fail(opened.error());
        }
        file = std::move(*opened);
    } else {
        protocol::Prepopulation::Target target{
            place_.cache_dir, place_.private_dir, place_.volume, cookie, blob.erofs_size};
        auto begun = protocol::Prepopulation::begin(std::move(target));
        if (!begun) {
            co_return fail(begun.error());
        }
        fresh.emplace(std::move(*begun));
        file = fresh->file();
    }
    log::info("completing blob {}, {} bytes", blob.digest.to_string(), blob.erofs_size);
    {
        BlobFiller filler{services_, policy_, tree, file};
        const Registration registration{filling_, blob.digest, filler};
        const auto filled = co_await filler.fill_all();
        if (!filled) {
            co_return filled;
        }
    }
    if (!fresh) {
        co_return Result<void>{};
    }
    auto commit = [prepared = std::make_shared<protocol::Prepopulation>(std::move(*fresh))] {
        return prepared->commit();
    };
    fresh.reset();
    co_return co_await services_.workers.run(services_.loop, std::move(commit));
}

std::optional<std::uint64_t> OfflineFill::progress(const Digest& digest) const
{
    const auto found = filling_.find(digest);
    if (found == filling_.end()) {
        return std::nullopt;
    }
    const auto present = found->second->bytes_present();
    return present ? std::optional{*present} : std::nullopt;
}

} // namespace sluice::daemon
