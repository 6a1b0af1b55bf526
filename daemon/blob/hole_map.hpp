// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "protocol/device.hpp"

#include <bitset>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice::daemon {

/// What is missing in one opened blob's backing file, remembered: asking the file waits for every write to it that is
/// under way, and the loop must not. The file is asked once for each window, when it is first looked at. The holes stay
/// the truth: who has reason to doubt says look_again(). A bit a block: 32 KiB for each GiB that was looked at.
/// Loop thread only.
class HoleMap {
public:
    /// `size` is the blob's, in bytes; its last block counts as whole.
    HoleMap(std::shared_ptr<protocol::ObjectHandle> handle, std::uint64_t size);

    /// What of `range` (any alignment; beyond the end there is nothing) is missing: sorted, whole blocks.
    [[nodiscard]] Result<std::vector<ByteRange>> missing(ByteRange range);

    /// The same, from the file itself.
    [[nodiscard]] Result<std::vector<ByteRange>> look_again(ByteRange range);

    /// Whole blocks that are in the file from now on.
    void written(ByteRange range);

private:
    static constexpr std::uint64_t kWindow = 4U << 20;
    using Window = std::bitset<kWindow / kBlockSize>; ///< set: missing

    [[nodiscard]] Result<void> look(std::uint64_t window);

    std::shared_ptr<protocol::ObjectHandle> handle_;
    ByteRange object_; // to whole blocks
    std::vector<std::unique_ptr<Window>> windows_;
};

} // namespace sluice::daemon
