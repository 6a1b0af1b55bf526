// SPDX-License-Identifier: Apache-2.0
//
// Takes messages from the device, a bounded number in one turn of the loop, and turns each into a call of the handler.
// Nothing that a message says, and nothing that read(2) says about one message, ends the daemon: it is counted, logged
// once for its kind, and answered where there is somebody to be answered. Only EIO from a command means the end.
#include "protocol/cachefiles_front_end.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "protocol/open_objects.hpp"
#include "protocol/uapi.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <fmt/format.h>
#include <span>
#include <sys/epoll.h>
#include <system_error>
#include <utility>

namespace sluice::protocol {

namespace {

constexpr int kMessagesPerTurn = 64;
constexpr std::size_t kBufferMax = std::size_t{64} * 1024;
constexpr milliseconds kPause{100}; ///< between turns that brought nothing but errors

} // namespace

CachefilesFrontEnd::CachefilesFrontEnd(EventLoop& loop, KernelIo& io, DeviceConfig config, FdStore& descriptors)
    : loop_{loop}
    , io_{io}
    , config_{std::move(config)}
    , descriptors_{descriptors}
    , buffer_(uapi::kMessageMax)
    , self_{std::make_shared<CachefilesFrontEnd*>(this)}
    , resume_{loop, [this] { watch(); }}
{}

CachefilesFrontEnd::~CachefilesFrontEnd() = default;

Result<void> CachefilesFrontEnd::start(RequestHandler& handler)
{
    assert(loop_.in_loop_thread() && !fd_);
    auto bound = set_up();
    if (!bound) {
        return fail(bound.error());
    }
    handler_ = &handler;
    fd_ = std::move(bound->fd);
    can_restore_ = bound->can_restore;
    const auto defer = [this](auto function) {
        loop_.defer([weak = std::weak_ptr{self_}, call = std::move(function)]() mutable {
            if (const auto self = weak.lock()) {
                call(**self);
            }
        });
    };
    OpenObjects::Events events;
    events.dropped = [defer](ObjectId object) {
        defer([object](CachefilesFrontEnd& self) { self.handler_->on_close(object); });
    };
    events.device_failed = [this](int code) {
        lost(Error::from_errno(code, "/dev/cachefiles: the kernel has given up this cache"));
    };
    events.answered = [this](MessageId message) {
        if (ledger_) {
            ledger_->strike(message);
        }
    };
    events.trouble = [this](const std::string& text) { complain_once("answer", text); };
    objects_ = std::make_shared<OpenObjects>(io_, fd_.get(), stats_, std::move(events));
    watch();
    return {};
}

void CachefilesFrontEnd::stop()
{
    assert(loop_.in_loop_thread());
    resume_.cancel();
    source_.reset();
    if (fd_) {
        forget();
    }
}

void CachefilesFrontEnd::leave()
{
    assert(loop_.in_loop_thread());
    resume_.cancel();
    source_.reset();
    objects_.reset(); // an answer without data would be EIO for a reader whom the successor can serve
}

Capabilities CachefilesFrontEnd::capabilities() const
{
    // Kernels from 6.8 on hang or corrupt memory when a compressed extent is cached in part.
    return Capabilities{
        .name = "cachefiles",
        .serves_mounts = true,
        .brings_handles = true,
        .needs_complete = true,
        .readers_see_errors = false,
        .can_restore = can_restore_,
        .mount_source = fmt::format("sluice:{:08x}", binding_)};
}

FrontEndStats CachefilesFrontEnd::stats() const
{
    auto stats = stats_;
    stats.open_objects = objects_ ? objects_->size() : 0;
    return stats;
}

Result<void> CachefilesFrontEnd::remove(const std::filesystem::path& file)
{
    return cull_file(io_, fd_.get(), file);
}

void CachefilesFrontEnd::watch()
{
    if (lost_) {
        return;
    }
    // Input only: EPOLLOUT means "please cull", and stays up as long as space is short.
    source_ = std::make_unique<IoSource>(
        loop_,
        fd_.get(),
        EPOLLIN,
        [this](std::uint32_t events) {
            if (!drain() && (events & (EPOLLERR | EPOLLHUP)) != 0) {
                lost(Error{ErrorKind::kInternal, "/dev/cachefiles hung up", EIO}); // it would wake us for ever
            }
        },
        "cachefiles requests"
    );
}

void CachefilesFrontEnd::pause()
{
    source_.reset();
    resume_.arm(kPause);
}

bool CachefilesFrontEnd::drain()
{
    // What is left after a turn's share raises the level-triggered watch again, behind everybody else's events.
    turn_was_useful_ = false;
    for (int i = 0; i < kMessagesPerTurn && source_; ++i) {
        if (!take_one()) {
            stats_.empty_wakeups += i == 0 ? 1U : 0U;
            return i != 0;
        }
    }
    if (source_ && !turn_was_useful_) {
        pause(); // errors only: without a pause the loop would spin on them
    }
    return true;
}

bool CachefilesFrontEnd::take_one()
{
    const auto got = io_.read(fd_.get(), buffer_);
    if (got == 0 || got == -EAGAIN) {
        return false; // "nothing now", also right after an event: the kernel reopens an object that way
    }
    if (got < 0) {
        return on_read_error(static_cast<int>(-got));
    }
    turn_was_useful_ = true;
    auto message = decode(std::span<const std::byte>{buffer_}.first(static_cast<std::size_t>(got)));
    if (!message) {
        dispatch(message.error());
        return true;
    }
    if (auto* open = std::get_if<OpenMessage>(&*message)) {
        dispatch(std::move(*open));
    } else if (const auto* read = std::get_if<ReadMessage>(&*message)) {
        dispatch(*read);
    } else {
        dispatch(std::get<CloseMessage>(*message));
    }
    return true;
}

bool CachefilesFrontEnd::on_read_error(int code)
{
    if (code == EINTR) {
        return true;
    }
    ++stats_.read_errors[code];
    const char* meaning = "one request was lost";
    if (code == EMSGSIZE) {
        // The kernel keeps the message and would choose it again for ever.
        buffer_.resize(std::min(buffer_.size() * 2, kBufferMax));
        meaning = "a message larger than any known; trying with more room";
    } else if (code == EMFILE || code == ENFILE) {
        meaning = "no descriptor was free for a blob, and its mount has failed; raise LimitNOFILE";
    } else if (code == EEXIST) {
        meaning = "an OPEN was delivered again while its descriptor was still open, and has failed";
    } else if (code == EFAULT || code == ENOMEM) {
        meaning = "one request was lost for want of memory";
    }
    complain_once(
        fmt::format("read {}", code),
        fmt::format("/dev/cachefiles: read: {}: {}", std::system_category().message(code), meaning)
    );
    return true;
}

Result<std::shared_ptr<ObjectFd>> CachefilesFrontEnd::adopt(int descriptor) const
{
    auto fd = io_.adopt_object(descriptor);
    if (!fd) {
        return fail(fd.error());
    }
    auto space = std::make_shared<const CacheSpace>(CacheSpace{config_.cache_dir.string(), config_.limits});
    return std::make_shared<ObjectFd>(io_, std::move(*fd), std::move(space));
}

void CachefilesFrontEnd::dispatch(OpenMessage message)
{
    ++stats_.opens;
    auto adopted = adopt(message.fd);
    if (!adopted) {
        ++stats_.malformed;
        complain_once("descriptor", fmt::format("OPEN {}: {}", message.message.value, adopted.error().text()));
        objects_->refuse_open(message.message, EBADF);
        return;
    }
    auto object = std::move(*adopted);
    if (objects_->contains(message.object)) {
        ++stats_.replaced_objects;
        complain_once("replaced", fmt::format("OPEN with the id of object {}, still open", message.object.value));
        const auto old = objects_->remove(message.object);
        handler_->on_close(message.object);
        old->close();
    }
    objects_->insert(message.object, object);
    handler_->on_open(OpenRequest{
        message.object,
        std::move(message.volume),
        std::move(message.cookie),
        std::move(object),
        PendingOpen{objects_, message.object, message.message}});
}

void CachefilesFrontEnd::dispatch(const ReadMessage& message)
{
    ++stats_.reads;
    if (!objects_->contains(message.object)) {
        ++stats_.unknown_objects;
        complain_once(
            "unknown object",
            fmt::format("READ {} of object {}, which is not open", message.message.value, message.object.value)
        );
        return; // an answer would have to go through the object's own descriptor
    }
    const auto entry = ledger_ ? ledger_->note(message.message, message.range) : ReadLedger::Entry{SteadyClock::now()};
    stats_.replayed += entry.replayed ? 1U : 0U;
    handler_->on_read(ReadRequest{
        message.object, message.range, PendingRead{objects_, message.object, message.message}, true, entry.arrival});
}

void CachefilesFrontEnd::dispatch(const CloseMessage& message)
{
    ++stats_.closes;
    // Reading CLOSE was the answer; the kernel has failed what was still pending. So first nothing goes out through the
    // object any more, then the core stops, and then the descriptor goes, for which the next mount is waiting.
    const auto object = objects_->remove(message.object);
    if (!object) {
        return; // closed on our side already, or never opened
    }
    handler_->on_close(message.object);
    object->close();
}

void CachefilesFrontEnd::dispatch(const BadMessage& bad)
{
    ++stats_.malformed;
    complain_once(to_string(bad.fault), fmt::format("/dev/cachefiles: {}; ignored", printable(bad.text)));
    if (bad.fault == MessageFault::kShort) {
        return;
    }
    if (bad.kind == BadMessage::Kind::kRead && objects_->contains(bad.object)) {
        // Answered unfilled at once, which is EIO for the reader, instead of letting it sleep for ever.
        const PendingRead answered{objects_, bad.object, bad.message};
    } else if (bad.kind == BadMessage::Kind::kOpen) {
        const auto object = bad.fd ? adopt(*bad.fd) : fail(ErrorKind::kInvalid, "it brings no descriptor", EBADF);
        if (object && !objects_->contains(bad.object) && (*object)->size_if_mounted() > 0) {
            objects_->insert(bad.object, *object); // its READs fail, where a refusal would be asked for again, for ever
            objects_->answer_open(bad.object, bad.message, fail_errno(EINVAL, "an OPEN that is malformed"));
        } else {
            objects_->refuse_open(bad.message, EINVAL);
        }
    }
}

void CachefilesFrontEnd::lost(const Error& why)
{
    if (lost_) {
        return;
    }
    lost_ = true;
    stop();
    loop_.defer([weak = std::weak_ptr{self_}, why] {
        if (const auto self = weak.lock()) {
            (*self)->handler_->on_front_end_lost(why);
        }
    });
}

void CachefilesFrontEnd::complain_once(std::string_view kind, const std::string& text)
{
    if (complained_.emplace(kind).second) {
        log::warning("{} (further ones of this kind are only counted)", text);
    }
}

} // namespace sluice::protocol
