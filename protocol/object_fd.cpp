// SPDX-License-Identifier: Apache-2.0
#include "protocol/object_fd.hpp"

#include "protocol/block_io.hpp"
#include "protocol/space.hpp"

#include <cassert>
#include <cerrno>
#include <fmt/format.h>
#include <utility>

namespace sluice::protocol {

/// One call's hold on the descriptor number. While it lives, the number stays ours; the lock is not held.
class ObjectFd::Use {
public:
    explicit Use(const ObjectFd& object) : object_{object}
    {
        const MutexLock lock{object.mutex_};
        if (!object.closed_) {
            fd_ = object.fd_.get();
            ++object.users_;
        }
    }

    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    ~Use()
    {
        if (fd_ < 0) {
            return;
        }
        UniqueFd last; // closed behind the lock: the last close can wait for a sync of the whole cache
        const MutexLock lock{object_.mutex_};
        if (--object_.users_ == 0 && object_.closed_) {
            last = std::move(object_.fd_);
        }
    }

    [[nodiscard]] int fd() const noexcept { return fd_; }

private:
    const ObjectFd& object_;
    int fd_ = -1;
};

namespace {

Failure closed_failure()
{
    return fail(ErrorKind::kCancelled, "the object was closed", ESTALE);
}

} // namespace

ObjectFd::ObjectFd(KernelIo& io, UniqueFd fd, std::shared_ptr<const CacheSpace> space)
    : io_{io}, space_{std::move(space)}, fd_{std::move(fd)}
{
    assert(space_);
}

ObjectFd::~ObjectFd() = default;

Result<void> ObjectFd::write(std::uint64_t offset, std::span<const std::byte> data)
{
    const Use use{*this};
    if (use.fd() < 0) {
        return closed_failure();
    }
    const auto call = [this, &use](std::span<const std::byte> piece, std::uint64_t at) {
        // Asked for each piece: after a CLOSE nothing more may go in, and the rest of a big write is soon over.
        return closed() ? ssize_t{-ESTALE} : io_.pwrite(use.fd(), piece, at);
    };
    if (const auto written = write_blocks(call, offset, data); !written) {
        return fail(explain_write(written.error()));
    }
    // Kernels before July 2025 report a short direct write as complete. The holes know.
    auto hole = io_.first_hole(use.fd(), offset);
    if (hole == -ENXIO) {
        hole = static_cast<off_t>(offset); // the file ends before
    }
    if (hole < 0) {
        const auto error = fail_errno(static_cast<int>(-hole), fmt::format("cannot look for data at {}", offset));
        return fail(explain_write(error.value()));
    }
    if (static_cast<std::uint64_t>(hole) < offset + data.size()) {
        return fail(
            ErrorKind::kInternal,
            fmt::format("wrote {} bytes at {}, and there still is a hole at {}", data.size(), offset, hole),
            EIO
        );
    }
    return {};
}

Result<std::vector<ByteRange>> ObjectFd::missing(ByteRange range) const
{
    const Use use{*this};
    if (use.fd() < 0) {
        return closed_failure();
    }
    const auto probe = [this, &use](std::uint64_t at, std::uint64_t size) { return io_.probe(use.fd(), at, size); };
    auto found = find_missing(probe, range);
    if (!found && found.error().code() == ENOBUFS) {
        return fail(ErrorKind::kCancelled, "the object is not open in the kernel", ENOBUFS);
    }
    return found;
}

int ObjectFd::complete(MessageId message) const
{
    const Use use{*this};
    return use.fd() < 0 ? -ESTALE : io_.read_complete(use.fd(), message);
}

std::uint64_t ObjectFd::size_if_mounted() const
{
    const Use use{*this};
    const auto end = use.fd() < 0 ? off_t{0} : io_.end(use.fd());
    return end > 0 ? static_cast<std::uint64_t>(end) : 0;
}

void ObjectFd::close() noexcept
{
    UniqueFd last;
    const MutexLock lock{mutex_};
    closed_ = true;
    if (users_ == 0) {
        last = std::move(fd_);
    }
}

bool ObjectFd::closed() const noexcept
{
    const MutexLock lock{mutex_};
    return closed_;
}

Error ObjectFd::explain_write(const Error& error) const
{
    if (error.code() == ESTALE) {
        return closed_failure().value();
    }
    if (error.code() != ENOBUFS) {
        return error;
    }

    // Our offsets are aligned, so it is one of two: too little space, or an object that the kernel has let go.
    struct statvfs fs {};

    if (io_.space(space_->cache_dir, fs) == 0 && below_stop(fs, space_->limits)) {
        return Error{
            ErrorKind::kNoSpace,
            fmt::format("{}: free space is below the stop limit: {}", space_->cache_dir, error.text()),
            ENOBUFS};
    }
    return Error{ErrorKind::kCancelled, fmt::format("the object is not open in the kernel: {}", error.text()), ENOBUFS};
}

} // namespace sluice::protocol
