// SPDX-License-Identifier: Apache-2.0
#include "protocol/socket_objects.hpp"

#include "protocol/file_handle.hpp"

#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <utility>

namespace sluice::protocol {

namespace {

/// A read-only open file of its own, so that not even file flags are shared between clients. For workers.
Result<UniqueFd> reopen(const FileHandle& file)
{
    const auto path = fmt::format("/proc/self/fd/{}", file.fd());
    UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) {
        return fail_errno(errno, file.path().string());
    }
    // No readahead for whoever reads through it: it would fill memory with the zeros of holes, which a kernel that
    // looks for data takes for such while the hole is being filled.
    (void)::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_RANDOM);
    return fd;
}

} // namespace

SocketObjects::SocketObjects(EventLoop& loop, WorkerPool& workers, RequestHandler& handler)
    : workers_{workers}, loop_{loop}, handler_{handler}, tasks_{loop}
{}

SocketObjects::~SocketObjects() = default;

void SocketObjects::open(std::string cookie, std::weak_ptr<SocketAsker> asker, WireId id)
{
    do {
        ++last_object_;
    } while (open_.contains(ObjectId{last_object_}) || opening_.contains(ObjectId{last_object_}));
    const ObjectId object{last_object_};
    opening_.emplace(object, Opener{std::move(asker), id});
    handler_.on_open(OpenRequest{
        object, {}, std::move(cookie), nullptr, PendingOpen{weak_from_this(), object, MessageId{++last_message_}}});
}

void SocketObjects::answer_open(ObjectId object, MessageId, Result<OpenedBlob> outcome)
{
    auto opener = opening_.extract(object);
    assert(!opener.empty());
    if (outcome) {
        tasks_.spawn(hand_out(object, std::move(*outcome), std::move(opener.mapped())));
    } else if (const auto asker = opener.mapped().asker.lock()) {
        asker->opened(opener.mapped().id, fail(outcome.error()));
    }
}

Task<void> SocketObjects::hand_out(ObjectId object, OpenedBlob blob, Opener opener)
{
    open_.emplace(object, blob.size);
    auto job = [file = blob.file] { return reopen(*file); };
    auto fd = co_await workers_.run(loop_, std::move(job));
    const auto asker = opener.asker.lock();
    if (!asker || !fd) {
        release(object);
    }
    if (asker && !fd) {
        asker->opened(opener.id, fail(fd.error()));
    } else if (asker) {
        asker->opened(opener.id, SocketOpened{object, blob.size, blob.digest, std::move(*fd)});
    }
}

void SocketObjects::release(ObjectId object)
{
    const auto known = open_.erase(object);
    assert(known == 1);
    (void)known;
    // Later: whoever lets go may be here because the core answers a READ that its connection does not survive, and
    // then what closing destroys is below us on the stack.
    loop_.defer([weak = weak_from_this(), object] {
        if (const auto self = weak.lock()) {
            self->handler_.on_close(object); // answers what was still being read; nobody waits for that
        }
    });
}

void SocketObjects::read(ObjectId object, ByteRange range, std::weak_ptr<SocketAsker> asker, std::uint32_t token)
{
    do {
        ++last_message_;
    } while (reads_.contains(MessageId{last_message_}));
    const MessageId message{last_message_};
    reads_.emplace(message, Reading{std::move(asker), token});
    handler_.on_read(ReadRequest{object, range, PendingRead{weak_from_this(), object, message}});
}

void SocketObjects::answer_read(ObjectId, MessageId message, Result<void> outcome)
{
    const auto node = reads_.extract(message);
    const auto asker = node.empty() ? nullptr : node.mapped().asker.lock();
    if (asker) {
        asker->read_done(node.mapped().token, outcome ? 0 : -errno_of(outcome.error()));
    }
}

} // namespace sluice::protocol
