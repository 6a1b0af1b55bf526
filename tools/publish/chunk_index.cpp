// SPDX-License-Identifier: Apache-2.0
#include "tools/publish/chunk_index.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::tools {

namespace {

constexpr std::array kMagic{std::byte{0xcd}, std::byte{0xe4}, std::byte{0xec}, std::byte{0x67}};
constexpr std::size_t kReserved = 10;

void append_le(std::vector<std::byte>& out, std::uint64_t value, std::size_t size)
{
    for (std::size_t i = 0; i < size; ++i) {
        out.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
    }
}

} // namespace

void ChunkIndexBuilder::update(std::span<const std::byte> bytes)
{
    while (!bytes.empty()) {
        const auto take = std::min<std::uint64_t>(bytes.size(), kIndexChunk - size_ % kIndexChunk);
        hasher_.update(bytes.first(take));
        bytes = bytes.subspan(take);
        size_ += take;
        if (size_ % kIndexChunk == 0) {
            digests_.push_back(hasher_.finish());
        }
    }
}

std::vector<std::byte> ChunkIndexBuilder::finish()
{
    if (size_ % kIndexChunk != 0) {
        digests_.push_back(hasher_.finish());
    }
    const auto digests = std::exchange(digests_, {});
    std::vector<std::byte> out{kMagic.begin(), kMagic.end()};
    append_le(out, 1, 1);                       // version
    append_le(out, 0, 1);                       // not compressed
    append_le(out, 0, 2);                       // flags
    append_le(out, std::exchange(size_, 0), 8); // uncompressed size
    append_le(out, digests.size(), 4);
    append_le(out, 1, 1); // SHA-2
    append_le(out, Digest::kSize, 1);
    out.insert(out.end(), kReserved, std::byte{});
    for (std::size_t i = 0; i < digests.size(); ++i) {
        append_le(out, i * kIndexChunk, 8); // in the blob
        append_le(out, i * kIndexChunk, 8); // in the image: the same, nothing is compressed
        out.insert(out.end(), digests[i].bytes().begin(), digests[i].bytes().end());
    }
    return out;
}

} // namespace sluice::tools
