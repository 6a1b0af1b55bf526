// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_device.hpp"

#include "base/log.hpp"
#include "protocol/fuse_objects.hpp"

#include <cassert>
#include <cerrno>
#include <utility>

namespace sluice::protocol {

FuseDevice::FuseDevice(EventLoop& loop, WorkerPool& workers, FuseConfig config)
    : loop_{loop}, workers_{workers}, config_{std::move(config)}, self_{std::make_shared<FuseDevice*>(this)}
{
    const auto dropped = [this](ObjectId object) {
        loop_.defer([weak = std::weak_ptr{self_}, object] {
            if (const auto self = weak.lock()) {
                (*self)->handler_->on_close(object);
            }
        });
    };
    const auto ask_again = [&event_loop = loop_,
                            weak = std::weak_ptr{self_}](std::uint64_t inode, ByteRange range, FuseRequest request) {
        event_loop.post([weak, inode, range, waiting = std::move(request)]() mutable {
            if (const auto self = weak.lock()) {
                (*self)->ask(inode, range, std::move(waiting), true);
            }
        });
    };
    objects_ = std::make_shared<FuseObjects>(FuseReader{workers_}, stats_, dropped, ask_again);
}

FuseDevice::~FuseDevice() = default;

Result<void> FuseDevice::start(RequestHandler& handler)
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

void FuseDevice::stop()
{
    assert(loop_.in_loop_thread());
    if (session_) {
        session_->stop();
    }
    mount_.reset();
}

DeviceStats FuseDevice::stats() const
{
    auto stats = stats_;
    stats.open_objects = objects_->size();
    return stats;
}

const std::string* FuseDevice::name_of(std::uint64_t inode) const
{
    const auto index = inode - kFuseRoot - 1;
    return inode > kFuseRoot && index < names_.size() ? &names_[index] : nullptr;
}

void FuseDevice::lookup(FuseRequest request, std::string name)
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

void FuseDevice::get_attributes(FuseRequest request, std::uint64_t inode)
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

void FuseDevice::open(FuseRequest request, std::uint64_t inode)
{
    const auto* name = name_of(inode);
    const auto size = name == nullptr ? std::nullopt : config_.size_of(*name);
    if (!size) {
        request.error(ENOENT);
        return;
    }
    if (objects_->join(inode, request)) {
        return;
    }
    ++stats_.opens;
    const auto object = objects_->begin(inode, *size, std::move(request));
    Prepopulation::Target target{config_.cache_dir, config_.private_dir, config_.volume, *name, *size};
    workers_.submit([&loop = loop_, weak = std::weak_ptr{self_}, object, blob = std::move(target)]() mutable {
        auto opened = open_backing_file(blob);
        loop.post([weak, object, cookie = std::move(blob.cookie), file = std::move(opened)]() mutable {
            if (const auto self = weak.lock()) {
                (*self)->file_opened(object, cookie, std::move(file));
            }
        });
    });
}

void FuseDevice::file_opened(ObjectId object, const std::string& cookie, Result<std::shared_ptr<FileHandle>> file)
{
    if (!file) {
        log::error("no file for the data of blob {}: {}", cookie, file.error().text());
        objects_->refuse(object, file.error().kind() == ErrorKind::kNoSpace ? ENOSPC : EIO);
        return;
    }
    objects_->set_file(object, *file);
    handler_->on_open(OpenRequest{
        object, config_.volume, cookie, std::move(*file), PendingOpen{objects_, object, MessageId{0}}});
}

void FuseDevice::read(FuseRequest request, std::uint64_t inode, std::uint64_t offset, std::size_t size)
{
    ++stats_.reads;
    const auto range = ByteRange::from_length(offset, size);
    if (!range) {
        ++stats_.malformed;
        request.error(EINVAL);
        return;
    }
    ask(inode, *range, std::move(request), false);
}

void FuseDevice::ask(std::uint64_t inode, ByteRange range, FuseRequest request, bool found_hole)
{
    const auto waiting = objects_->add_read(inode, range, std::move(request));
    if (!waiting) {
        return;
    }
    const auto [object, message] = *waiting;
    if (found_hole) {
        objects_->taken_up(message);
    }
    handler_->on_read(ReadRequest{object, range, PendingRead{objects_, object, message}, found_hole});
    objects_->taken_up(message);
}

void FuseDevice::release(FuseRequest request, std::uint64_t inode)
{
    if (const auto closed = objects_->release(inode)) {
        ++stats_.closes;
        handler_->on_close(*closed);
    }
    request.error(0);
}

void FuseDevice::list(FuseRequest request, std::uint64_t from, std::size_t room)
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

void FuseDevice::ended()
{
    loop_.defer([weak = std::weak_ptr{self_}] {
        if (const auto self = weak.lock()) {
            const Error why{ErrorKind::kInternal, "the FUSE file system of the blobs was unmounted", ENOTCONN};
            (*self)->handler_->on_device_lost(why);
        }
    });
}

} // namespace sluice::protocol
