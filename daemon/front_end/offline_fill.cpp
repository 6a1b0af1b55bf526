// SPDX-License-Identifier: Apache-2.0
#include "daemon/front_end/offline_fill.hpp"

#include "base/log.hpp"
#include "daemon/blob/cookies.hpp"
#include "protocol/backing_file.hpp"

#include <fmt/format.h>
#include <utility>

namespace sluice::daemon {

namespace {

struct Registration {
    Registration(OfflineFill::Filling& table, const Digest& of, std::shared_ptr<protocol::ObjectHandle> file)
        : filling{table}, digest{of}
    {
        filling.insert_or_assign(digest, std::move(file));
    }

    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

    ~Registration() { filling.erase(digest); }

    OfflineFill::Filling& filling;
    Digest digest;
};

/// Who takes a blob for complete reads it without asking any more.
Result<void> check_and_sync(protocol::FileHandle& file, std::uint64_t size)
{
    const auto missing = file.missing({0, size});
    if (!missing) {
        return fail(missing.error());
    }
    if (!missing->empty()) {
        return fail(
            ErrorKind::kInternal,
            fmt::format("{}: {} is still missing", file.path().string(), missing->front().to_string())
        );
    }
    return file.sync();
}

} // namespace

Task<Result<void>> OfflineFill::complete(std::shared_ptr<BlobTree> tree)
{
    const auto digest = tree->blob().digest;
    const auto size = tree->blob().erofs_size;
    // Who reads by other doors does no harm: only the kernel's cachefiles must not meet a hole.
    if (const auto* open = front_ends_.find(digest, place_.front_end); open != nullptr) {
        auto look = [handle = open->handle(), size] { return bytes_present(*handle, size); };
        const auto present = co_await services_.workers.run(services_.loop, std::move(look));
        if (present && *present == size) {
            co_return Result<void>{};
        }
        co_return fail(
            ErrorKind::kUnsupported,
            fmt::format("blob {} is mounted while incomplete; unmount it first", digest.to_string())
        );
    }

    // Filled where it lies: each block is proved before it is written, and what an interruption leaves is kept.
    protocol::Prepopulation::Target target{
        place_.cache_dir, place_.private_dir, place_.volume, cookie_of(digest), size};
    auto open = [blob = std::move(target)] { return protocol::open_backing_file(blob); };
    auto file = co_await services_.workers.run(services_.loop, std::move(open));
    if (!file) {
        co_return fail(file.error());
    }
    auto look = [handle = *file, size] { return bytes_present(*handle, size); };
    const auto present = co_await services_.workers.run(services_.loop, std::move(look));
    if (present && *present == size) {
        co_return Result<void>{};
    }
    log::info("completing blob {}, {} bytes", digest.to_string(), size);
    {
        BlobFiller filler{services_, policy_, tree, *file};
        const Registration registration{filling_, digest, *file};
        const auto filled = co_await filler.fill_all();
        if (!filled) {
            co_return filled;
        }
    }
    auto finish = [handle = std::move(*file), size] { return check_and_sync(*handle, size); };
    co_return co_await services_.workers.run(services_.loop, std::move(finish));
}

std::shared_ptr<protocol::ObjectHandle> OfflineFill::filling(const Digest& digest) const
{
    const auto found = filling_.find(digest);
    return found == filling_.end() ? nullptr : found->second;
}

} // namespace sluice::daemon
