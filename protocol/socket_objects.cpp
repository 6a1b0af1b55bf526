// SPDX-License-Identifier: Apache-2.0
#include "protocol/socket_objects.hpp"

#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <utility>

namespace sluice::protocol {

/// What the core gets at OPEN, before there is a file: that is opened by a worker once the core has said the size.
class SharedHandle final : public ObjectHandle {
public:
    void set(std::shared_ptr<FileHandle> file)
    {
        const std::lock_guard lock{mutex_};
        file_ = std::move(file);
    }

    Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override
    {
        const auto file = get();
        if (!file) {
            return fail(ErrorKind::kCancelled, "the blob has no file yet", ESTALE);
        }
        auto done = file->write(offset, data);
        if (done) {
            const std::lock_guard lock{mutex_};
            written_.add({offset, offset + data.size()});
        }
        return done;
    }

    /// Whether all of `range` has been put there by write(). The file knows more, but asking it waits for every write
    /// to it that is under way.
    [[nodiscard]] bool has_written(ByteRange range) const
    {
        const std::lock_guard lock{mutex_};
        return written_.contains(range);
    }

    [[nodiscard]] Result<std::vector<ByteRange>> missing(ByteRange range) const override
    {
        const auto file = get();
        if (!file) {
            return fail(ErrorKind::kCancelled, "the blob has no file yet", ESTALE);
        }
        return file->missing(range);
    }

private:
    [[nodiscard]] std::shared_ptr<FileHandle> get() const
    {
        const std::lock_guard lock{mutex_};
        return file_;
    }

    mutable std::mutex mutex_;
    std::shared_ptr<FileHandle> file_;
    RangeSet written_;
};

SocketObjects::SocketObjects(EventLoop& loop, WorkerPool& workers, RequestHandler& handler, Place place)
    : workers_{workers}, loop_{loop}, handler_{handler}, place_{std::move(place)}, tasks_{loop}
{}

SocketObjects::~SocketObjects() = default;

void SocketObjects::open(const Digest& digest, std::weak_ptr<SocketAsker> asker, WireId id)
{
    Opener opener{std::move(asker), id};
    if (const auto known = by_digest_.find(digest); known != by_digest_.end()) {
        auto& object = objects_.at(known->second);
        if (object.file) {
            hand_out(known->second, opener);
        } else {
            object.openers.push_back(std::move(opener));
        }
        return;
    }
    const ObjectId object{++last_object_};
    auto handle = std::make_shared<SharedHandle>();
    by_digest_.emplace(digest, object);
    objects_.emplace(object, Object{digest, 0, handle, nullptr, {std::move(opener)}, 0});
    handler_.on_open(OpenRequest{
        object,
        place_.volume,
        digest.hex(),
        std::move(handle),
        PendingOpen{weak_from_this(), object, MessageId{++last_message_}}});
}

void SocketObjects::answer_open(ObjectId object, MessageId, Result<std::uint64_t> size)
{
    const auto at = objects_.find(object);
    assert(at != objects_.end());
    if (!size) {
        refuse(object, size.error());
        return;
    }
    at->second.size = *size;
    tasks_.spawn(open_file(object));
}

Task<void> SocketObjects::open_file(ObjectId object)
{
    const auto& wanted = objects_.at(object);
    Prepopulation::Target target{place_.cache_dir, place_.private_dir, place_.volume, wanted.digest.hex(), wanted.size};
    auto job = [blob = std::move(target)] { return open_backing_file(blob); };
    auto file = co_await workers_.run(loop_, std::move(job));
    opened(object, std::move(file));
}

void SocketObjects::opened(ObjectId id, Result<std::shared_ptr<FileHandle>> file)
{
    if (!file) {
        const auto why = file.error();
        refuse(id, why);
        handler_.on_close(id); // which has taken it for open
        return;
    }
    auto& object = objects_.at(id);
    object.handle->set(*file);
    object.file = std::move(*file);
    ++object.users; // ours, while it is handed out
    for (const auto& opener : std::exchange(object.openers, {})) {
        hand_out(id, opener);
    }
    release(id);
}

void SocketObjects::hand_out(ObjectId id, const Opener& opener)
{
    const auto asker = opener.asker.lock();
    if (!asker) {
        return;
    }
    auto& object = objects_.at(id);
    const auto path = fmt::format("/proc/self/fd/{}", object.file->fd());
    UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) {
        asker->opened(opener.id, fail_errno(errno, object.file->path().string()));
        return;
    }
    // No readahead for whoever reads through it: it would fill memory with the zeros of holes, which a kernel that
    // looks for data takes for such while the hole is being filled.
    (void)::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_RANDOM);
    ++object.users;
    asker->opened(opener.id, SocketOpened{id, object.size, object.digest, std::move(fd)});
}

void SocketObjects::refuse(ObjectId id, const Error& why)
{
    auto node = objects_.extract(id);
    by_digest_.erase(node.mapped().digest);
    for (const auto& opener : node.mapped().openers) {
        if (const auto asker = opener.asker.lock()) {
            asker->opened(opener.id, fail(why));
        }
    }
}

void SocketObjects::release(ObjectId id)
{
    const auto at = objects_.find(id);
    assert(at != objects_.end() && at->second.users > 0);
    if (--at->second.users == 0) {
        by_digest_.erase(at->second.digest);
        objects_.erase(at);
        // Later: whoever lets go may be here because the core answers a READ that its connection does not survive, and
        // then what closing destroys is below us on the stack.
        loop_.defer([weak = weak_from_this(), id] {
            if (const auto self = weak.lock()) {
                self->handler_.on_close(id); // answers what was still being read; nobody waits for that
            }
        });
    }
}

void SocketObjects::read(ObjectId object, ByteRange range, std::weak_ptr<SocketAsker> asker, std::uint32_t token)
{
    const MessageId message{++last_message_};
    reads_.emplace(message, Reading{range, std::move(asker), token});
    handler_.on_read(ReadRequest{object, range, PendingRead{weak_from_this(), object, message}});
}

void SocketObjects::answer_read(ObjectId object, MessageId message)
{
    const auto node = reads_.extract(message);
    const auto asker = node.empty() ? nullptr : node.mapped().asker.lock();
    if (!asker) {
        return;
    }
    // The core leaves a hole where it has failed; here that can be said in a word.
    int status = -ECANCELED;
    if (const auto at = objects_.find(object); at != objects_.end()) {
        const auto& opened = at->second;
        const auto range = node.mapped().range.intersect({0, opened.size});
        if (opened.handle->has_written(range)) {
            status = 0;
        } else { // there before, or a failure: both are rare, as clients look into the file before they ask
            const auto left = opened.file->missing(range);
            status = left && left->empty() ? 0 : -EIO;
        }
    }
    asker->read_done(node.mapped().token, status);
}

} // namespace sluice::protocol
