// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_front_end.hpp"

#include <cassert>
#include <cerrno>
#include <utility>

namespace sluice::protocol {

FuseFrontEnd::FuseFrontEnd(EventLoop& loop, WorkerPool& workers, FuseConfig config)
    : loop_{loop}, workers_{workers}, config_{std::move(config)}
{}

FuseFrontEnd::~FuseFrontEnd() = default;

Result<void> FuseFrontEnd::start(RequestHandler& handler)
{
    assert(loop_.in_loop_thread() && !session_);
    auto mounted = FuseMount::mount(config_.mount_base);
    if (!mounted) {
        return fail(mounted.error());
    }
    auto state = FuseState::create(mounted->path());
    if (!state) {
        return fail(state.error());
    }
    auto channel = std::make_shared<FuseChannel>(mounted->take_session(), std::move(*state));
    mount_.emplace(std::move(*mounted));
    serve(std::move(channel), handler);
    return {};
}

void FuseFrontEnd::serve(std::shared_ptr<FuseChannel> channel, RequestHandler& handler)
{
    directory_ = mount_->path();
    files_.emplace(config_.contents, channel->state());
    FuseObjects::Parts parts{loop_, FuseReader{workers_}, config_.volume, channel, handler};
    objects_ = std::make_shared<FuseObjects>(std::move(parts));
    FuseOperations& operations = *this;
    session_ = std::make_shared<FuseSession>(loop_, std::move(channel), operations);
    session_->start();
}

void FuseFrontEnd::stop()
{
    assert(loop_.in_loop_thread());
    if (session_) {
        session_->stop();
    }
    mount_.reset();
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
    return objects_ ? objects_->stats() : FrontEndStats{};
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
        request.error(ENOENT);
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
