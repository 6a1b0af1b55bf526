// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/mutex.hpp"
#include "base/result.hpp"
#include "protocol/object_handle.hpp"
#include "protocol/space.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sluice::daemon {

/// The one file that a blob's bytes are kept in, through all handles by which it is open: the daemon's own descriptor,
/// and that of each front end that brings one. Most of the time there is one handle. Where there are two, they lead to
/// one file as a rule; a kernel that opened the blob before its file existed has made another one, though, and so what
/// counts as present is what is behind all handles, and what is written is written behind each that lacks it.
/// Thread-safe; write() and missing() block for the disk, so they run on workers.
class BackingFile {
public:
    /// `space` is asked before each write, and told of one that fails; null: nobody limits them.
    explicit BackingFile(std::shared_ptr<protocol::Space> space) : space_{std::move(space)} {}

    /// Begins a new generation(): what was known of the file may not be true of this handle.
    void attach(std::shared_ptr<protocol::ObjectHandle> handle);

    void detach(const protocol::ObjectHandle& handle);

    /// Writes proved bytes, aligned as ObjectHandle::write() wants it. kNoSpace below the stop limits, or on a full
    /// disk; kCancelled when there is no handle (left).
    [[nodiscard]] Result<void> write(std::uint64_t offset, std::span<const std::byte> data);

    /// As ObjectHandle::missing().
    [[nodiscard]] Result<std::vector<ByteRange>> missing(ByteRange range) const;

    /// Counts the attachments: what was written under an older one may be missing behind the newest handle.
    [[nodiscard]] std::uint64_t generation() const;

private:
    using Handles = std::vector<std::shared_ptr<protocol::ObjectHandle>>;

    [[nodiscard]] Handles handles() const;

    std::shared_ptr<protocol::Space> space_;
    mutable Mutex mutex_;
    Handles handles_ SLUICE_GUARDED_BY(mutex_);
    std::uint64_t generation_ SLUICE_GUARDED_BY(mutex_) = 0;
};

} // namespace sluice::daemon
