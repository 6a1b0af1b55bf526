// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::cache {

/// A reader that goes through an object front to back, as far as its READs show it.
struct ReadStream {
    std::uint64_t begin = 0;    ///< of its first READ
    std::uint64_t position = 0; ///< where its next READ is expected: the end of the last one
    std::uint64_t planned = 0;  ///< fetches were planned up to here; never before `position`
    std::uint64_t window = 0;   ///< bytes to keep ahead of it; 0 until a second READ has proved it sequential
    std::uint64_t last_use = 0; ///< the detector's count of READs
};

/// Tells interleaved sequential readers of one object apart, and from random access. The kernel
/// only tells of holes, so a stream's next READ may come anywhere inside of what was planned for
/// it, or right behind. Pure; not thread-safe.
class StreamDetector {
public:
    /// Tracks up to `max_streams` (at least 1), the least recently used gives way. `slack`: how far
    /// behind the planned end a READ still belongs to the stream, as ranges may be there already
    /// and are then read without a READ.
    StreamDetector(std::size_t max_streams, std::uint64_t slack);

    struct Match {
        ReadStream& stream; ///< valid until the next call
        bool known;         ///< false: a new stream, which nothing has proved yet
    };

    /// The stream that `wanted` (not empty) belongs to, its position advanced. `planned` is left to
    /// the caller.
    [[nodiscard]] Match observe(ByteRange wanted);

    /// Streams that were proved sequential and read from lately.
    [[nodiscard]] std::size_t active() const noexcept;

private:
    [[nodiscard]] bool continues(const ReadStream& stream, std::uint64_t at) const noexcept;
    [[nodiscard]] ReadStream* find(ByteRange wanted) noexcept;

    std::size_t max_streams_;
    std::uint64_t slack_;
    std::uint64_t reads_ = 0;
    std::vector<ReadStream> streams_;
};

} // namespace sluice::cache
