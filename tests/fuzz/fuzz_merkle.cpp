// SPDX-License-Identifier: Apache-2.0
//
// A blob as a registry may send it: the first byte chooses the size, the rest is laid over a good
// tree (and its data) at an offset of the input's choice. Whatever was changed must be found, and
// nothing else; annotations and superblocks are parsed from the same bytes.
#include "base/text.hpp"
#include "tests/fuzz/require.hpp"
#include "trust/blob_annotations.hpp"
#include "trust/merkle_builder.hpp"
#include "trust/merkle_tree.hpp"

#include <algorithm>

namespace {

using namespace sluice;        // NOLINT(google-build-using-namespace)
using namespace sluice::trust; // NOLINT(google-build-using-namespace)

constexpr std::uint64_t kBlocks = 300; // leaf level of three blocks under a top

struct Good {
    std::vector<std::byte> data = std::vector<std::byte>(kBlocks * kBlockSize);
    MerkleBuilder::Tree tree;

    Good()
    {
        for (std::size_t i = 0; i < data.size(); ++i) {
            data[i] = static_cast<std::byte>(i * 7 + i / 4096);
        }
        MerkleBuilder builder;
        builder.update(data);
        tree = builder.finish();
    }
};

/// Loads what `range` needs from `bytes`; false when a hash block is refused.
bool load(MerkleTree& tree, ByteRange range, std::uint64_t widen, std::span<const std::byte> bytes)
{
    for (auto runs = tree.missing_for(range, widen); !runs.empty(); runs = tree.missing_for(range, widen)) {
        for (const auto& run : runs) {
            const auto blocks = bytes.subspan(run.bytes.begin(), run.bytes.size());
            if (first_mismatch(blocks, tree.expected_of(run))) {
                return false;
            }
            tree.insert(run, blocks);
        }
    }
    return true;
}

void check_tree(std::span<const std::byte> input)
{
    static const Good good;
    const auto number = [&](std::size_t at) { return at < input.size() ? std::to_integer<std::size_t>(input[at]) : 0; };
    const auto at = (number(0) | number(1) << 8) % good.tree.bytes.size();
    const auto first = (number(2) | number(3) << 8) % kBlocks;
    const auto count = std::min<std::uint64_t>(kBlocks - first, number(4) % 16 + 1);
    auto tree_bytes = good.tree.bytes;
    const auto patch = input.subspan(std::min<std::size_t>(input.size(), 6));
    std::copy_n(
        patch.begin(),
        std::min(patch.size(), tree_bytes.size() - at),
        tree_bytes.begin() + static_cast<std::ptrdiff_t>(at)
    );

    const ByteRange range{first * kBlockSize, (first + count) * kBlockSize};
    MerkleTree tree{MerkleGeometry::for_blocks(kBlocks), good.tree.root};
    if (load(tree, range, number(5) % 130, tree_bytes)) {
        // Every hash block that was let in is the good one, so it must prove the good data.
        const auto data = std::span{good.data}.subspan(range.begin(), range.size());
        require(!first_mismatch(data, tree.expected_of_data(range)));
    } else {
        require(tree_bytes != good.tree.bytes);
    }
    tree.trim(number(5) * kBlockSize);
    const auto upper = std::span{tree_bytes}.first(tree.geometry().upper_bytes().size());
    const bool same = std::equal(upper.begin(), upper.end(), good.tree.bytes.begin());
    require(prove_upper(tree.geometry(), good.tree.root, upper) == same);
}

void check_annotations(std::span<const std::byte> input)
{
    const auto parts = split(as_text(input), '\n');
    const auto part = [&](std::size_t i) { return i < parts.size() ? std::string{parts[i]} : std::string{}; };
    Annotations annotations{
        {kHashOffsetAnnotation, part(0)},
        {kRootDigestAnnotation, part(1)},
        {kBlockSizeAnnotation, part(2)},
        {kRoleAnnotation, part(3)},
        {kIndexRangeAnnotation, part(4)},
        {kIndexDigestAnnotation, part(5)}};
    (void)parse_role(annotations);
    for (const auto blob_size : {std::uint64_t{0}, std::uint64_t{1} << 20, ~std::uint64_t{0}}) {
        const auto trust = parse_blob_trust(annotations, blob_size);
        if (!trust) {
            continue;
        }
        require(trust->erofs_size <= blob_size && trust->geometry.tree_size() <= blob_size - trust->erofs_size);
        require(!trust->index || trust->index->range.end() <= blob_size);
        const auto offset = locate_tree(*trust, blob_size, input);
        require(!offset || trust->geometry.tree_size() <= blob_size - *offset);
    }
    if (const auto trust = parse_blob_trust(
            {{kHashOffsetAnnotation, "8192"}, {kRootDigestAnnotation, "sha256:" + std::string(64, '0')}}, 20480
        )) {
        (void)locate_tree(*trust, 20480, input);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto input = std::as_bytes(std::span{data, size});
    check_tree(input);
    check_annotations(input);
    return 0;
}
