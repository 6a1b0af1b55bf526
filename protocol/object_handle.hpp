// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::protocol {

/// A way to one blob's backing file: an ordinary descriptor, or the kernel's for one generation of an opened object.
/// The file's holes are the truth about what is missing. Thread-safe; all calls block for the disk, so they run on
/// workers. The descriptor is closed with the last reference.
class ObjectHandle {
public:
    ObjectHandle() = default;
    ObjectHandle(const ObjectHandle&) = delete;
    ObjectHandle& operator=(const ObjectHandle&) = delete;
    virtual ~ObjectHandle() = default;

    /// Writes all of `data` at `offset`: both multiples of kBlockSize, memory aligned to it. What returns success is
    /// visible to readers at once, so only proved bytes may be passed.
    [[nodiscard]] virtual Result<void> write(std::uint64_t offset, std::span<const std::byte> data) = 0;

    /// What of `range` (any alignment) is not in the file, as sorted block-aligned ranges. Waits for writes that are
    /// under way.
    [[nodiscard]] virtual Result<std::vector<ByteRange>> missing(ByteRange range) const = 0;
};

} // namespace sluice::protocol
