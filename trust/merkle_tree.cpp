// SPDX-License-Identifier: Apache-2.0
//
// A hash block is kept as the 4096 bytes that were proved, in one map a level. Upper levels are
// never dropped: they are 1/128 of the leaves and each of them stands for 64 MiB of data or more.
// Leaf blocks are kept in order of their last use.
#include "trust/merkle_tree.hpp"

#include "trust/hasher.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <utility>

namespace sluice::trust {

struct MerkleTree::Node {
    using Block = std::array<std::byte, kBlockSize>;

    std::unique_ptr<Block> block;
    std::list<std::uint64_t>::iterator use; // of leaf blocks only
};

namespace {

Digest digest_at(std::span<const std::byte, kBlockSize> block, std::uint64_t slot)
{
    Digest::Bytes bytes{};
    std::memcpy(bytes.data(), block.data() + slot * Digest::kSize, Digest::kSize);
    return Digest{bytes};
}

} // namespace

MerkleTree::MerkleTree(MerkleGeometry geometry, Digest root)
    : geometry_{geometry}, root_{root}, nodes_(geometry.levels())
{}

MerkleTree::MerkleTree(MerkleTree&&) noexcept = default;
MerkleTree& MerkleTree::operator=(MerkleTree&&) noexcept = default;
MerkleTree::~MerkleTree() = default;

const MerkleTree::Node* MerkleTree::find(unsigned level, std::uint64_t index) const
{
    const auto it = nodes_[level].find(index);
    return it == nodes_[level].end() ? nullptr : &it->second;
}

bool MerkleTree::parent_loaded(unsigned level, std::uint64_t index) const
{
    return level + 1 == geometry_.levels() || find(level + 1, index / kDigestsPerBlock) != nullptr;
}

std::vector<TreeRun> MerkleTree::missing_for(ByteRange data, std::uint64_t widen) const
{
    data = data.align_out(kBlockSize);
    assert(data.end() <= geometry_.data_size());
    std::vector<TreeRun> runs;
    if (data.empty()) {
        return runs;
    }
    std::uint64_t first = data.begin() / kBlockSize;
    std::uint64_t last = (data.end() - 1) / kBlockSize; // both inclusive, from here on of `level`
    std::vector<std::pair<std::uint64_t, std::uint64_t>> wanted;
    for (unsigned level = 0; level < geometry_.levels(); ++level) {
        first /= kDigestsPerBlock;
        last /= kDigestsPerBlock;
        wanted.emplace_back(first, last);
    }
    for (unsigned level = geometry_.levels(); level-- > 0 && runs.empty();) {
        bool missing = false;
        for (auto index = wanted[level].first; index <= wanted[level].second && !missing; ++index) {
            missing = find(level, index) == nullptr;
        }
        if (!missing) {
            continue;
        }
        const auto grid = std::max<std::uint64_t>(widen, 1);
        const auto begin = wanted[level].first / grid * grid;
        const auto rest = geometry_.blocks(level) - wanted[level].second - 1;
        const auto end = wanted[level].second + 1 + std::min(rest, grid - 1 - wanted[level].second % grid);
        for (auto index = begin; index < end; ++index) {
            if (find(level, index) != nullptr || !parent_loaded(level, index)) {
                continue;
            }
            if (runs.empty() || runs.back().first + runs.back().count != index) {
                runs.push_back({level, index, 0, {}});
            }
            ++runs.back().count;
        }
    }
    for (auto& run : runs) {
        run.bytes = geometry_.bytes(run.level, run.first, run.count);
    }
    return runs;
}

// Digests number `first` and on that stand in the hash blocks of `level`.
std::vector<Digest> MerkleTree::digests(unsigned level, std::uint64_t first, std::uint64_t count) const
{
    std::vector<Digest> found;
    found.reserve(count);
    const Node* node = nullptr;
    for (auto number = first; number < first + count; ++number) {
        const auto index = number / kDigestsPerBlock;
        if (node == nullptr || number % kDigestsPerBlock == 0) {
            node = find(level, index);
            if (node == nullptr) {
                return {};
            }
            if (level == 0) {
                used_.splice(used_.begin(), used_, node->use);
            }
        }
        found.push_back(digest_at(*node->block, number % kDigestsPerBlock));
    }
    return found;
}

std::vector<Digest> MerkleTree::expected_of(const TreeRun& run) const
{
    assert(run.level < geometry_.levels() && run.count <= geometry_.blocks(run.level));
    assert(run.first <= geometry_.blocks(run.level) - run.count);
    if (run.level + 1 == geometry_.levels()) {
        return {root_};
    }
    return digests(run.level + 1, run.first, run.count);
}

std::vector<Digest> MerkleTree::expected_of_data(ByteRange aligned) const
{
    assert(aligned.begin() % kBlockSize == 0 && aligned.end() % kBlockSize == 0);
    assert(aligned.end() <= geometry_.data_size());
    if (aligned.empty()) {
        return {};
    }
    if (geometry_.levels() == 0) {
        return {root_};
    }
    return digests(0, aligned.begin() / kBlockSize, aligned.size() / kBlockSize);
}

void MerkleTree::insert(const TreeRun& run, std::span<const std::byte> bytes)
{
    assert(bytes.size() == run.count * kBlockSize);
    for (std::uint64_t i = 0; i < run.count; ++i) {
        const auto [it, is_new] = nodes_[run.level].try_emplace(run.first + i);
        if (!is_new) {
            continue; // proved twice, by two readers that missed it at once
        }
        it->second.block = std::make_unique<Node::Block>();
        std::memcpy(it->second.block->data(), bytes.data() + i * kBlockSize, kBlockSize);
        if (run.level == 0) {
            used_.push_front(run.first + i);
            it->second.use = used_.begin();
        }
    }
}

void MerkleTree::insert_upper(std::span<const std::byte> bytes)
{
    assert(bytes.size() == geometry_.upper_bytes().size());
    for (unsigned level = geometry_.levels(); level-- > 1;) {
        const auto range = geometry_.bytes(level);
        insert({level, 0, geometry_.blocks(level), range}, bytes.subspan(range.begin(), range.size()));
    }
}

std::size_t MerkleTree::memory() const noexcept
{
    std::size_t blocks = 0;
    for (const auto& level : nodes_) {
        blocks += level.size();
    }
    return blocks * kBlockSize;
}

void MerkleTree::trim(std::size_t budget)
{
    for (auto held = memory(); held > budget && !used_.empty(); held -= kBlockSize) {
        nodes_[0].erase(used_.back());
        used_.pop_back();
    }
}

std::optional<std::size_t> first_mismatch(std::span<const std::byte> blocks, std::span<const Digest> expected)
{
    for (std::size_t i = 0; i < expected.size(); ++i) {
        if (blocks.size() / kBlockSize <= i || sha256(blocks.subspan(i * kBlockSize, kBlockSize)) != expected[i]) {
            return i;
        }
    }
    if (blocks.size() != expected.size() * kBlockSize) {
        return expected.size();
    }
    return std::nullopt;
}

bool prove_upper(const MerkleGeometry& geometry, const Digest& root, std::span<const std::byte> bytes)
{
    if (bytes.size() != geometry.upper_bytes().size()) {
        return false;
    }
    std::vector<Digest> expected{root};
    for (unsigned level = geometry.levels(); level-- > 1;) {
        const auto range = geometry.bytes(level);
        const auto blocks = bytes.subspan(range.begin(), range.size());
        if (first_mismatch(blocks, expected)) {
            return false;
        }
        const auto below = geometry.blocks(level - 1);
        expected.clear();
        for (std::uint64_t i = 0; i < below; ++i) {
            const auto block = blocks.subspan(i / kDigestsPerBlock * kBlockSize).first<kBlockSize>();
            expected.push_back(digest_at(block, i % kDigestsPerBlock));
        }
    }
    return true;
}

} // namespace sluice::trust
