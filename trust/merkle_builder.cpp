// SPDX-License-Identifier: Apache-2.0
#include "trust/merkle_builder.hpp"

#include "trust/hasher.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::trust {

namespace {

void append(std::vector<std::byte>& out, const Digest& digest)
{
    out.insert(out.end(), digest.bytes().begin(), digest.bytes().end());
}

void put_le(std::span<std::byte> out, std::uint64_t value)
{
    for (auto& byte : out) {
        byte = static_cast<std::byte>(value & 0xff);
        value >>= 8;
    }
}

} // namespace

void MerkleBuilder::add_block(std::span<const std::byte> block)
{
    append(leaf_, sha256(block));
}

void MerkleBuilder::update(std::span<const std::byte> data)
{
    size_ += data.size();
    if (!partial_.empty()) {
        const auto take = std::min(data.size(), kBlockSize - partial_.size());
        partial_.insert(partial_.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(take));
        data = data.subspan(take);
        if (partial_.size() == kBlockSize) {
            add_block(partial_);
            partial_.clear();
        }
    }
    while (data.size() >= kBlockSize) {
        add_block(data.first(kBlockSize));
        data = data.subspan(kBlockSize);
    }
    partial_.insert(partial_.end(), data.begin(), data.end());
}

MerkleBuilder::Tree MerkleBuilder::finish()
{
    if (!partial_.empty()) {
        partial_.resize(kBlockSize);
        add_block(partial_);
        partial_.clear();
    }
    Tree tree;
    tree.data_size = std::exchange(size_, 0);
    auto digests = std::exchange(leaf_, {});
    const auto geometry = MerkleGeometry::for_blocks(digests.size() / Digest::kSize);
    tree.bytes.resize(geometry.tree_size());
    for (unsigned level = 0; level < geometry.levels(); ++level) {
        const auto range = geometry.bytes(level);
        const auto blocks = std::span{tree.bytes}.subspan(range.begin(), range.size());
        std::copy(digests.begin(), digests.end(), blocks.begin()); // what it does not fill stays zero
        digests.clear();
        for (std::uint64_t i = 0; i < geometry.blocks(level); ++i) {
            append(digests, sha256(blocks.subspan(i * kBlockSize, kBlockSize)));
        }
    }
    if (!digests.empty()) { // no data at all: fs-verity's root is all zeros
        Digest::Bytes root{};
        std::copy(digests.begin(), digests.end(), root.begin());
        tree.root = Digest{root};
    }
    return tree;
}

Digest fsverity_digest(const Digest& root, std::uint64_t file_size)
{
    // struct fsverity_descriptor of Linux's Documentation/filesystems/fsverity.rst
    std::array<std::byte, 256> descriptor{};
    const auto bytes = std::span{descriptor};
    put_le(bytes.subspan(0, 1), 1);  // version
    put_le(bytes.subspan(1, 1), 1);  // SHA-256
    put_le(bytes.subspan(2, 1), 12); // log2 of the block size
    put_le(bytes.subspan(8, 8), file_size);
    std::copy(root.bytes().begin(), root.bytes().end(), bytes.subspan(16, Digest::kSize).begin());
    return sha256(descriptor);
}

} // namespace sluice::trust
