// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_front_end.hpp"

#include "base/log.hpp"
#include "protocol/fuse_objects.hpp"

#include <cassert>
#include <cerrno>
#include <utility>

namespace sluice::protocol {

FuseFrontEnd::FuseFrontEnd(EventLoop& loop, WorkerPool& workers, FuseConfig config)
    : loop_{loop}, workers_{workers}, config_{std::move(config)}, self_{std::make_shared<FuseFrontEnd*>(this)}
{
    FuseObjects::Events events;
    events.dropped = [this](ObjectId object) {
        loop_.defer([weak = std::weak_ptr{self_}, object] {
            if (const auto self = weak.lock()) {
                (*self)->handler_->on_close(object);
            }
        });
    };
    events.found_hole = [&event_loop = loop_,
                         weak = std::weak_ptr{self_}](ObjectId object, ByteRange range, FuseRequest request) {
        event_loop.post([weak, object, range, waiting = std::move(request)]() mutable {
            if (const auto self = weak.lock()) {
                (*self)->ask(object, range, std::move(waiting), true);
            }
        });
    };
    objects_ = std::make_shared<FuseObjects>(FuseReader{workers_}, stats_, std::move(events));
}

FuseFrontEnd::~FuseFrontEnd() = default;

Result<void> FuseFrontEnd::start(RequestHandler& handler)
{
    assert(loop_.in_loop_thread() && !session_);
    handler_ = &handler;
    auto mounted = FuseMount::mount(config_.mount_base);
    if (!mounted) {
        return fail(mounted.error());
    }
    auto session = FuseSession::make(loop_, mounted->take_session(), *this);
    if (!session) {
        return fail(session.error());
    }
    directory_ = mounted->path();
    mount_.emplace(std::move(*mounted));
    session_ = std::move(*session);
    session_->start();
    return {};
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
    auto stats = stats_;
    stats.open_objects = objects_->size();
    return stats;
}

const std::string* FuseFrontEnd::name_of(std::uint64_t inode) const
{
    const auto index = inode - kFuseRoot - 1;
    return inode > kFuseRoot && index < names_.size() ? &names_[index] : nullptr;
}

void FuseFrontEnd::lookup(FuseRequest request, std::string name)
{
    const auto size = config_.size_of(name);
    if (!size) {
        request.error(ENOENT);
        return;
    }
    auto known = inodes_.find(name);
    if (known == inodes_.end()) {
        names_.push_back(name);
        known = inodes_.emplace(std::move(name), kFuseRoot + names_.size()).first;
    }
    request.entry({known->second, *size});
}

void FuseFrontEnd::get_attributes(FuseRequest request, std::uint64_t inode)
{
    if (inode == kFuseRoot) {
        request.attributes({kFuseRoot, 0});
        return;
    }
    const auto* name = name_of(inode);
    const auto size = name == nullptr ? std::nullopt : config_.size_of(*name);
    if (size) {
        request.attributes({inode, *size});
    } else {
        request.error(ENOENT);
    }
}

void FuseFrontEnd::open(FuseRequest request, std::uint64_t inode)
{
    const auto* name = name_of(inode);
    const auto size = name == nullptr ? std::nullopt : config_.size_of(*name);
    if (!size) {
        request.error(ENOENT);
        return;
    }
    ++stats_.opens;
    const auto object = objects_->begin(std::move(request));
    handler_->on_open(OpenRequest{object, config_.volume, *name, nullptr, PendingOpen{objects_, object, MessageId{0}}});
}

void FuseFrontEnd::read(FuseRequest request, std::uint64_t handle, std::uint64_t offset, std::size_t size)
{
    ++stats_.reads;
    const auto range = ByteRange::from_length(offset, size);
    if (!range) {
        ++stats_.malformed;
        request.error(EINVAL);
        return;
    }
    ask(ObjectId{static_cast<std::uint32_t>(handle)}, *range, std::move(request), false);
}

void FuseFrontEnd::ask(ObjectId object, ByteRange range, FuseRequest request, bool found_hole)
{
    if (const auto message = objects_->add_read(object, range, std::move(request), found_hole)) {
        handler_->on_read(ReadRequest{object, range, PendingRead{objects_, object, *message}, found_hole});
    }
}

void FuseFrontEnd::release(FuseRequest request, std::uint64_t handle)
{
    const ObjectId object{static_cast<std::uint32_t>(handle)};
    if (objects_->release(object)) {
        ++stats_.closes;
        handler_->on_close(object);
    }
    request.error(0);
}

void FuseFrontEnd::list(FuseRequest request, std::uint64_t from, std::size_t room)
{
    FuseListing listing{room};
    const auto cookies = config_.cookies();
    const auto add = [&, at = std::uint64_t{0}](const std::string& name, bool directory) mutable {
        ++at;
        return at <= from || listing.add(name, directory ? kFuseRoot : at + kFuseRoot, directory, at);
    };
    auto more = add;
    if (more(".", true) && more("..", true)) {
        for (const auto& cookie : cookies) {
            if (!more(cookie, false)) {
                break;
            }
        }
    }
    request.data(listing.bytes());
}

void FuseFrontEnd::ended()
{
    loop_.defer([weak = std::weak_ptr{self_}] {
        if (const auto self = weak.lock()) {
            const Error why{ErrorKind::kInternal, "the FUSE file system of the blobs was unmounted", ENOTCONN};
            (*self)->handler_->on_front_end_lost(why);
        }
    });
}

} // namespace sluice::protocol
