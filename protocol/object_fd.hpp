// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/mutex.hpp"
#include "base/unique_fd.hpp"
#include "protocol/command.hpp"
#include "protocol/kernel_io.hpp"
#include "protocol/object_handle.hpp"
#include "protocol/pending.hpp"

#include <memory>
#include <string>

namespace sluice::protocol {

/// Where the backing files lie and when the kernel stops adding to them: what ENOBUFS has to be judged by.
struct CacheSpace {
    std::string cache_dir;
    CacheLimits limits;
};

/// The anonymous descriptor of one generation of an object. Revocable: whoever holds the handle cannot keep the
/// descriptor from being closed, which the kernel waits for before the blob can be mounted again. Thread-safe.
class ObjectFd final : public ObjectHandle {
public:
    ObjectFd(KernelIo& io, UniqueFd fd, std::shared_ptr<const CacheSpace> space);
    ~ObjectFd() override;

    [[nodiscard]] Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override;
    [[nodiscard]] Result<std::vector<ByteRange>> missing(ByteRange range) const override;

    /// READ_COMPLETE; 0 or -errno, -ESTALE after close().
    [[nodiscard]] int complete(MessageId message) const;

    /// The size of the backing file where the object is mounted and only opened again, for which the kernel keeps the
    /// file open; 0 at a first OPEN, and after close().
    [[nodiscard]] std::uint64_t size_if_mounted() const;

    /// From now on every call fails with kCancelled; the descriptor closes at once, or with the last call that is in
    /// the kernel at this moment. Never blocks.
    void close() noexcept;

    [[nodiscard]] bool closed() const noexcept;

private:
    class Use;

    [[nodiscard]] Error explain_write(const Error& error) const;

    KernelIo& io_;
    std::shared_ptr<const CacheSpace> space_;
    mutable Mutex mutex_;
    mutable UniqueFd fd_ SLUICE_GUARDED_BY(mutex_); // the number may be used while a Use lives
    mutable unsigned users_ SLUICE_GUARDED_BY(mutex_) = 0;
    bool closed_ SLUICE_GUARDED_BY(mutex_) = false;
};

} // namespace sluice::protocol
