// SPDX-License-Identifier: Apache-2.0
#include "trust/blob_annotations.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace sluice::trust {

namespace {

constexpr std::string_view kMagic{"verity\0\0", 8};
constexpr std::size_t kSuperblockSize = 512;

const std::string* find(const Annotations& annotations, const char* name)
{
    const auto it = annotations.find(name);
    return it == annotations.end() ? nullptr : &it->second;
}

Failure bad(const char* name, const std::string& value, std::string_view why, ErrorKind kind = ErrorKind::kInvalid)
{
    return fail(kind, fmt::format("annotation {} \"{}\": {}", name, printable(value, 100), why));
}

Result<void> check_block_size(const Annotations& annotations)
{
    const auto* text = find(annotations, kBlockSizeAnnotation);
    if (text == nullptr || parse_u64(*text) == kBlockSize) {
        return {};
    }
    return bad(kBlockSizeAnnotation, *text, "only blocks of 4096 bytes are supported", ErrorKind::kUnsupported);
}

Result<Digest> parse_root(const std::string& text)
{
    auto root = Digest::parse(text);
    if (!root) {
        const auto colon = text.find(':');
        const bool other = colon != std::string::npos && std::string_view{text}.substr(0, colon) != "sha256";
        return bad(
            kRootDigestAnnotation,
            text,
            other ? "only sha256 is supported" : root.error().text(),
            other ? ErrorKind::kUnsupported : ErrorKind::kInvalid
        );
    }
    return root;
}

// "offset:end", or "offset" for all of the rest.
std::optional<ByteRange> parse_index_range(std::string_view text, std::uint64_t blob_size)
{
    const auto parts = split(text, ':');
    const auto begin = parse_u64(parts[0]);
    const auto end = parts.size() == 2 ? parse_u64(parts[1]) : std::optional{blob_size};
    if (parts.size() > 2 || !begin || !end || *begin >= *end || *end > blob_size) {
        return std::nullopt;
    }
    return ByteRange{*begin, *end};
}

Result<std::optional<ChunkIndexRef>> parse_index(const Annotations& annotations, std::uint64_t blob_size)
{
    const auto* range_text = find(annotations, kIndexRangeAnnotation);
    const auto* digest_text = find(annotations, kIndexDigestAnnotation);
    if (range_text == nullptr || digest_text == nullptr) {
        return std::optional<ChunkIndexRef>{}; // a range alone proves nothing, so it is of no use
                                               // to us
    }
    const auto range = parse_index_range(*range_text, blob_size);
    if (!range) {
        return bad(kIndexRangeAnnotation, *range_text, fmt::format("not a range of a blob of {} bytes", blob_size));
    }
    const auto digest = Digest::parse(*digest_text);
    if (!digest) {
        return bad(kIndexDigestAnnotation, *digest_text, digest.error().text());
    }
    return std::optional{ChunkIndexRef{*range, *digest}};
}

std::uint64_t le_at(std::span<const std::byte> bytes, std::size_t offset, std::size_t size)
{
    std::uint64_t value = 0;
    for (std::size_t i = size; i-- > 0;) {
        value = value << 8 | std::to_integer<std::uint64_t>(bytes[offset + i]);
    }
    return value;
}

// Lengths and counts come from the geometry alone; the superblock can only agree or be refused.
Result<void> check_superblock(std::span<const std::byte> block, const MerkleGeometry& geometry)
{
    const auto refuse = [](std::string what) {
        return fail(ErrorKind::kUnsupported, "dm-verity superblock: " + std::move(what));
    };
    if (le_at(block, 8, 4) != 1 || le_at(block, 12, 4) != 1) {
        return refuse(
            fmt::format("version {}, hash type {}; only 1 and 1 are supported", le_at(block, 8, 4), le_at(block, 12, 4))
        );
    }
    const auto name = as_text(block.subspan(32, 32));
    const auto algorithm = name.substr(0, name.find('\0'));
    if (algorithm != "sha256") {
        return refuse(fmt::format("algorithm \"{}\"; only sha256 is supported", printable(algorithm)));
    }
    if (le_at(block, 64, 4) != kBlockSize || le_at(block, 68, 4) != kBlockSize) {
        return refuse("only blocks of 4096 bytes are supported");
    }
    if (le_at(block, 80, 2) != 0) {
        return refuse(fmt::format(
            "a salt of {} bytes; only unsalted trees are supported (veritysetup format --salt=-)", le_at(block, 80, 2)
        ));
    }
    if (le_at(block, 72, 8) != geometry.data_blocks()) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "dm-verity superblock: {} data blocks, where {} says {}",
                le_at(block, 72, 8),
                kHashOffsetAnnotation,
                geometry.data_blocks()
            )
        );
    }
    return {};
}

} // namespace

Result<LayerRole> parse_role(const Annotations& annotations)
{
    const auto* role = find(annotations, kRoleAnnotation);
    if (role == nullptr || *role == "overlay-lower") {
        return LayerRole::kLower;
    }
    if (*role == "overlay-data") {
        return LayerRole::kData;
    }
    if (*role == "device") {
        return LayerRole::kDevice;
    }
    return bad(kRoleAnnotation, *role, "not a role that is known", ErrorKind::kUnsupported);
}

Result<BlobTrust> parse_blob_trust(const Annotations& annotations, std::uint64_t blob_size)
{
    const auto* offset_text = find(annotations, kHashOffsetAnnotation);
    const auto* root_text = find(annotations, kRootDigestAnnotation);
    if (offset_text == nullptr && root_text == nullptr) {
        return fail(
            ErrorKind::kNotFound, fmt::format("no annotations {} and {}", kHashOffsetAnnotation, kRootDigestAnnotation)
        );
    }
    if (offset_text == nullptr || root_text == nullptr) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "annotation {} is missing", offset_text == nullptr ? kHashOffsetAnnotation : kRootDigestAnnotation
            )
        );
    }
    if (const auto block_size = check_block_size(annotations); !block_size) {
        return fail(block_size.error());
    }
    const auto root = parse_root(*root_text);
    if (!root) {
        return fail(root.error());
    }
    const auto offset = parse_u64(*offset_text);
    if (!offset) {
        return bad(kHashOffsetAnnotation, *offset_text, "not a number");
    }
    const auto geometry = MerkleGeometry::for_size(*offset);
    if (!geometry) {
        return bad(kHashOffsetAnnotation, *offset_text, geometry.error().text());
    }
    if (*offset > blob_size || geometry->tree_size() > blob_size - *offset) {
        return bad(
            kHashOffsetAnnotation,
            *offset_text,
            fmt::format("with its tree of {} bytes it ends behind the blob's {}", geometry->tree_size(), blob_size)
        );
    }
    const auto index = parse_index(annotations, blob_size);
    if (!index) {
        return fail(index.error());
    }
    return BlobTrust{*offset, *root, *offset, *geometry, *index};
}

Result<std::uint64_t>
locate_tree(const BlobTrust& trust, std::uint64_t blob_size, std::span<const std::byte> at_hash_offset)
{
    if (!as_text(at_hash_offset).starts_with(kMagic)) {
        return trust.tree_offset;
    }
    if (at_hash_offset.size() < kSuperblockSize) {
        return fail(ErrorKind::kInvalid, "dm-verity superblock: cut short");
    }
    if (const auto checked = check_superblock(at_hash_offset, trust.geometry); !checked) {
        return fail(checked.error());
    }
    const auto offset = trust.tree_offset + kBlockSize;
    if (offset > blob_size || trust.geometry.tree_size() > blob_size - offset) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("dm-verity superblock: its tree ends behind the blob's {} bytes", blob_size)
        );
    }
    return offset;
}

} // namespace sluice::trust
