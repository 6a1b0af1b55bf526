// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_front_end.hpp"

#include "base/log.hpp"

#include <cassert>
#include <cerrno>
#include <fmt/format.h>
#include <poll.h>
#include <utility>

namespace sluice::protocol {

namespace {

/// Whether its file system is mounted nowhere any more, or it was cut.
bool has_ended(int connection) noexcept
{
    pollfd watched{connection, POLLIN, 0};
    return ::poll(&watched, 1, 0) > 0 && (watched.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

} // namespace

FuseFrontEnd::FuseFrontEnd(EventLoop& loop, WorkerPool& workers, FuseConfig config, FdStore& descriptors)
    : loop_{loop}, workers_{workers}, config_{std::move(config)}, descriptors_{descriptors}
{
    if (!config_.mount_base.has_filename()) { // it was written with a slash at its end
        config_.mount_base = config_.mount_base.parent_path();
    }
}

FuseFrontEnd::~FuseFrontEnd() = default;

Result<void> FuseFrontEnd::start(RequestHandler& handler)
{
    assert(loop_.in_loop_thread() && !session_);
    auto channel = adopt();
    if (!channel) {
        const auto& why = channel.error();
        if (why.kind() != ErrorKind::kUnsupported && why.kind() != ErrorKind::kInvalid) {
            return fail(why);
        }
        log::error(
            "fuse: what was mounted is dead, and has to be mounted anew with \"mount -a -t sluice\", because this "
            "sluiced cannot take it over: {}",
            why.text()
        );
        forget();
    }
    if (!channel || !*channel) {
        channel = mount();
        if (!channel) {
            return fail(channel.error());
        }
    }
    channel_ = std::move(*channel);
    serve(handler);
    return {};
}

Result<std::shared_ptr<FuseChannel>> FuseFrontEnd::adopt()
{
    auto connection = descriptors_.take(kConnection);
    auto memory = descriptors_.take(kState);
    if (!connection && !memory) {
        return nullptr;
    }
    if (!connection || !memory) {
        return fail(ErrorKind::kInvalid, "only one of its two descriptors was kept");
    }
    if (has_ended(connection.get())) {
        return fail(ErrorKind::kInvalid, "its file system was unmounted meanwhile");
    }
    auto state = FuseState::adopt(std::move(memory));
    if (!state) {
        return fail(state.error());
    }
    const auto directory = state->directory();
    if (directory != config_.mount_base / directory.filename()) {
        // Nobody else would ever come to look for it there.
        detach_mount(directory);
        return fail(
            ErrorKind::kInvalid,
            fmt::format("it is mounted at {}, and blobs-dir is {} now", directory.string(), config_.mount_base.string())
        );
    }
    auto mounted = FuseMount::adopt(directory);
    if (!mounted) {
        return fail(mounted.error());
    }
    mount_.emplace(std::move(*mounted));
    return std::make_shared<FuseChannel>(std::move(connection), std::move(*state));
}

Result<std::shared_ptr<FuseChannel>> FuseFrontEnd::mount()
{
    auto mounted = FuseMount::mount(config_.mount_base);
    if (!mounted) {
        return fail(mounted.error());
    }
    auto state = FuseState::create(mounted->path());
    if (!state) {
        return fail(state.error());
    }
    auto channel = std::make_shared<FuseChannel>(mounted->take_session(), std::move(*state));
    auto kept = descriptors_.keep(kState, channel->state().descriptor());
    if (kept) {
        kept = descriptors_.keep(kConnection, channel->descriptor());
    }
    if (!kept) {
        forget();
        return fail(kept.error());
    }
    mount_.emplace(std::move(*mounted));
    return channel;
}

void FuseFrontEnd::forget()
{
    descriptors_.forget(kConnection);
    descriptors_.forget(kState);
}

void FuseFrontEnd::serve(RequestHandler& handler)
{
    directory_ = mount_->path();
    files_.emplace(config_.contents, channel_->state());
    FuseObjects::Parts parts{loop_, FuseReader{workers_}, config_.volume, channel_, handler, config_.read_deadline};
    objects_ = std::make_shared<FuseObjects>(std::move(parts));
    FuseOperations& operations = *this;
    session_ = std::make_shared<FuseSession>(loop_, channel_, operations);
    // This object alone owns the session: while that lives, so does this.
    loop_.defer([this, weak = std::weak_ptr{session_}] {
        const auto session = weak.lock();
        if (session && !session->stopped()) {
            objects_->reopen();
            replayed_ = session->start();
        }
    });
}

void FuseFrontEnd::stop()
{
    assert(loop_.in_loop_thread());
    if (!session_ || left_) {
        return;
    }
    session_->stop();
    forget();
    mount_.reset();
}

void FuseFrontEnd::leave()
{
    assert(loop_.in_loop_thread());
    if (!session_) {
        return;
    }
    left_ = true;
    session_->stop();
    channel_->leave();
    mount_->leave();
}

Capabilities FuseFrontEnd::capabilities() const
{
    return Capabilities{
        .name = "fuse",
        .serves_mounts = true,
        .brings_handles = false,
        .needs_complete = false,
        .readers_see_errors = true,
        .blobs_dir = directory_.string()};
}

FrontEndStats FuseFrontEnd::stats() const
{
    auto stats = objects_ ? objects_->stats() : FrontEndStats{};
    stats.replayed = replayed_;
    return stats;
}

void FuseFrontEnd::lookup(FuseRequest request, std::string name)
{
    const auto file = files_->find(name);
    if (file) {
        request.entry(*file);
    } else {
        request.error(file.error().code());
    }
}

void FuseFrontEnd::get_attributes(FuseRequest request, std::uint64_t inode)
{
    if (inode == kFuseRoot) {
        request.attributes({kFuseRoot, 0});
    } else if (const auto file = files_->get(inode)) {
        request.attributes(*file);
    } else {
        request.error(ENOENT);
    }
}

void FuseFrontEnd::open(FuseRequest request, std::uint64_t inode)
{
    if (files_->get(inode)) {
        objects_->open(std::move(request), inode);
    } else {
        objects_->refuse(std::move(request), ENOENT);
    }
}

void FuseFrontEnd::read(FuseRequest request, std::uint64_t handle, std::uint64_t offset, std::size_t size)
{
    objects_->read(std::move(request), handle, offset, size);
}

void FuseFrontEnd::release(FuseRequest request, std::uint64_t handle)
{
    objects_->release(std::move(request), handle);
}

void FuseFrontEnd::list(FuseRequest request, std::uint64_t from, std::size_t room)
{
    request.data(files_->list(from, room).bytes());
}

void FuseFrontEnd::ended()
{
    objects_->lose(Error{ErrorKind::kInternal, "the FUSE file system of the blobs was unmounted", ENOTCONN});
}

} // namespace sluice::protocol
