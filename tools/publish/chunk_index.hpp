// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trust/hasher.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::tools {

inline constexpr std::uint64_t kIndexChunk = 1024 * 1024; ///< bytes that one entry stands for

/// Makes the chunk index (version 1, uncompressed, SHA-256) of erofs-image-spec for bytes that are fed in order: the
/// image and its tree, which is all of the blob that stands before the index.
class ChunkIndexBuilder {
public:
    void update(std::span<const std::byte> bytes);

    /// The payload. The builder is as new afterwards.
    [[nodiscard]] std::vector<std::byte> finish();

private:
    trust::Hasher hasher_;
    std::vector<Digest> digests_;
    std::uint64_t size_ = 0;
};

} // namespace sluice::tools
