// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/blob.hpp"

#include "base/log.hpp"
#include "daemon/blob/cache_sweep.hpp"
#include "daemon/blob/completion.hpp"
#include "daemon/blob/culler.hpp"
#include "daemon/blob/removals.hpp"
#include "fetcher/deadline_task.hpp"
#include "protocol/backing_file.hpp"
#include "protocol/cookie_path.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace sluice::daemon {

namespace {

/// Whoever takes a blob for complete reads it without asking any more.
Result<void> check_and_sync(const BackingFile& blob, protocol::FileHandle& file, std::uint64_t size)
{
    const auto missing = blob.missing({0, size});
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

Result<std::vector<std::byte>> read_blocks(const protocol::FileHandle& file, ByteRange range)
{
    auto buffer = AlignedBuffer::allocate(range.size());
    buffer.set_size(range.size());
    if (auto got = file.read(range.begin(), buffer.bytes()); !got) {
        return fail(got.error());
    }
    const auto bytes = buffer.bytes();
    return std::vector<std::byte>{bytes.begin(), bytes.end()};
}

} // namespace

Result<std::shared_ptr<Blob>> Blob::make(FillServices& services, const FillPolicy& policy, BlobInfo info)
{
    auto blob = std::make_shared<Blob>(services, policy, std::move(info));
    auto tree = BlobTree::make(services, blob->info_);
    if (!tree) {
        return fail(tree.error());
    }
    blob->tree_ = std::move(*tree);
    blob->filler_ = std::make_unique<BlobFiller>(BlobFiller::Parts{
        services, policy, blob->info_, *blob->tree_, blob->presence_, blob->file_});
    return blob;
}

Blob::Blob(FillServices& services, const FillPolicy& policy, BlobInfo info)
    : services_{services}
    , policy_{policy}
    , info_{std::move(info)}
    , identity_{identity_of(info_)}
    , file_{std::make_shared<BackingFile>(services.space)}
    , presence_{services.loop, services.workers, file_, info_.erofs_size}
    , opening_{services.loop}
{}

Blob::~Blob()
{
    if (on_end) {
        on_end(*this);
    }
}

void Blob::add_repositories(const std::vector<std::string>& repositories)
{
    info_.repositories = join_repositories(repositories, info_.repositories);
}

Task<Result<std::shared_ptr<protocol::FileHandle>>> Blob::open_file()
{
    const auto self = shared_from_this();
    if (!own_) {
        auto start = [this] { return open_own(); };
        const auto opened = co_await opening_.run(0, std::move(start));
        if (!opened) {
            co_return fail(opened.error());
        }
    }
    co_return own_;
}

Task<Result<void>> Blob::look_at_file()
{
    const auto self = shared_from_this();
    const auto deadline = Deadline::after(policy_.read_deadline);
    if (services_.removals != nullptr && services_.removals->contains(identity_)) {
        auto waiting = services_.removals->wait(identity_);
        auto what = fmt::format("removing what was cached of blob {}", info_.digest.to_string());
        auto gone = co_await fetcher::with_deadline(services_.loop, std::move(waiting), deadline, std::move(what));
        if (!gone) {
            co_return gone;
        }
    }
    const auto& place = services_.place;
    auto path = place.cache_dir / protocol::cookie_path(place.volume, identity_.hex());
    if (services_.sweep == nullptr || services_.sweep->is_sound(path)) {
        co_return Result<void>{};
    }
    auto what = fmt::format("looking at {} after a stop that was not clean", path.string());
    auto looking = services_.sweep->look(std::move(path));
    auto looked = co_await fetcher::with_deadline(services_.loop, std::move(looking), deadline, std::move(what));
    co_return looked;
}

Task<Result<std::shared_ptr<protocol::FileHandle>>> Blob::open_or_make()
{
    const auto& place = services_.place;
    protocol::Prepopulation::Target target{
        place.cache_dir, place.private_dir, place.volume, identity_.hex(), info_.erofs_size};
    auto job = [blob = std::move(target)] { return protocol::open_backing_file(blob); };
    auto opened = co_await services_.workers.run(services_.loop, std::move(job));
    co_return opened;
}

Task<Result<void>> Blob::open_own()
{
    auto looked = co_await look_at_file();
    if (!looked) {
        co_return looked;
    }
    auto opened = co_await open_or_make();
    if (!opened && lacks_room(opened.error()) && services_.culler != nullptr) {
        auto making = services_.culler->make_room();
        const auto deadline = Deadline::after(policy_.read_deadline);
        std::string what = "making room in the cache";
        const auto made = co_await fetcher::with_deadline(services_.loop, std::move(making), deadline, std::move(what));
        if (made) {
            opened = co_await open_or_make();
        }
    }
    if (!opened) {
        co_return fail(opened.error());
    }
    own_ = std::move(*opened);
    file_->attach(own_);
    presence_.invalidate({0, info_.erofs_size});
    co_return Result<void>{};
}

std::unique_ptr<BlobReader> Blob::open(std::string_view who, std::shared_ptr<protocol::ObjectHandle> handle)
{
    auto reader = std::make_unique<BlobReader>(shared_from_this(), who, std::move(handle));
    filler_->warm_up();
    return reader;
}

Task<Result<std::vector<std::byte>>> Blob::proved_bytes(ByteRange range)
{
    const auto self = shared_from_this();
    // First the hash tree: for a root that belongs to nothing no file is made.
    const auto prepared = co_await tree_->prepare(range, Deadline::after(policy_.read_deadline));
    if (!prepared) {
        co_return fail(prepared.error());
    }
    const auto file = co_await open_file();
    if (!file) {
        co_return fail(file.error());
    }
    const auto filled = co_await filler_->fill(range, Urgency::kDemand);
    if (!filled) {
        co_return fail(filled.error());
    }
    auto job = [from = *file, range] { return read_blocks(*from, range); };
    auto bytes = co_await services_.workers.run(services_.loop, std::move(job));
    co_return bytes;
}

Task<Result<bool>> Blob::is_complete()
{
    auto job = [file = file_, size = info_.erofs_size]() -> Result<bool> {
        const auto missing = file->missing({0, size});
        return missing ? Result<bool>{missing->empty()} : fail(missing.error());
    };
    auto complete = co_await services_.workers.run(services_.loop, std::move(job));
    co_return complete;
}

Task<Result<std::uint64_t>> Blob::stored_bytes()
{
    const auto self = shared_from_this();
    auto stored = co_await presence_.stored_bytes();
    co_return stored;
}

Task<Result<void>> Blob::complete()
{
    const auto self = shared_from_this();
    const auto file = co_await open_file();
    if (!file) {
        co_return fail(file.error());
    }
    const auto before = co_await is_complete();
    if (before && *before) {
        co_return Result<void>{};
    }
    log::info("completing blob {}, {} bytes", info_.digest.to_string(), info_.erofs_size);
    auto filled = co_await fill_all(services_.loop, *filler_, info_.erofs_size, policy_.read.max_request);
    if (!filled) {
        co_return filled;
    }
    auto finish = [all = file_, own = *file, size = info_.erofs_size] { return check_and_sync(*all, *own, size); };
    auto synced = co_await services_.workers.run(services_.loop, std::move(finish));
    co_return synced;
}

BlobReader::BlobReader(std::shared_ptr<Blob> blob, std::string_view who, std::shared_ptr<protocol::ObjectHandle> handle)
    : blob_{std::move(blob)}, who_{who}, stats_{blob_->services_.counters.reads_of[who_]}, handle_{std::move(handle)}
{
    ++blob_->users_[who_];
    blob_->last_use_ = SteadyClock::now();
    if (handle_) {
        blob_->file_->attach(handle_);
        blob_->presence_.invalidate({0, blob_->info_.erofs_size});
    }
}

BlobReader::~BlobReader()
{
    blob_->filler_->drop(this);
    if (handle_) {
        blob_->file_->detach(*handle_);
    }
    const auto count = blob_->users_.find(who_);
    if (--count->second == 0) {
        blob_->users_.erase(count);
    }
}

void BlobReader::read(ByteRange range, bool found_hole, protocol::PendingRead pending, TimePoint arrival)
{
    ++blob_->reads_;
    blob_->last_use_ = std::max(blob_->last_use_, arrival);
    BlobFiller::Done done = [answer = std::move(pending), &stats = stats_, arrival](Result<void> outcome) mutable {
        stats.note(SteadyClock::now() - arrival, outcome);
        answer.complete(std::move(outcome));
    };
    blob_->filler_->read(this, range, found_hole, std::move(done), arrival);
}

} // namespace sluice::daemon
