// SPDX-License-Identifier: Apache-2.0
//
// OCI and Docker manifests and indexes, as values. Pure.
#pragma once

#include "base/digest.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice::fetcher {

inline constexpr std::size_t kMaxManifestSize = 4 * 1024 * 1024;

namespace media_type {
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
} // namespace media_type

using Annotations = std::map<std::string, std::string, std::less<>>;

struct Platform {
    std::string os;
    std::string architecture;
    std::string variant;
    std::vector<std::string> os_features;

    friend bool operator==(const Platform&, const Platform&) = default;
};

/// This machine's, as Go names it ("linux", "amd64").
[[nodiscard]] Platform host_platform();

/// From "os/architecture[/variant]".
[[nodiscard]] Result<Platform> parse_platform(std::string_view text);

struct Descriptor {
    std::string media_type;
    Digest digest;
    std::uint64_t size = 0;
    Annotations annotations;
    std::string artifact_type;
    std::optional<Platform> platform; ///< only in indexes

    /// An annotation's value; nullptr where there is none.
    [[nodiscard]] const std::string* annotation(std::string_view key) const;
};

struct Manifest {
    std::string media_type;
    Descriptor config;
    std::vector<Descriptor> layers;
    Annotations annotations;
    std::string artifact_type;
    std::optional<Descriptor> subject;
};

struct Index {
    std::string media_type;
    std::vector<Descriptor> manifests;
    Annotations annotations;
};

using ManifestOrIndex = std::variant<Manifest, Index>;

/// `bytes` were proved against a digest, or came with a tag. `content_type` is the server's word
/// (empty: none); where the document has a mediaType of its own the two must agree.
[[nodiscard]] Result<ManifestOrIndex> parse_manifest(std::string_view bytes, std::string_view content_type);

/// The manifest of `index` for `wanted`: among all that match, one with "erofs" in os.features,
/// else the first. Attestations are never chosen; nested indexes (media type says so) are, when no
/// manifest matches. kNotFound names what is there.
[[nodiscard]] Result<Descriptor> choose_platform(const Index& index, const Platform& wanted);

[[nodiscard]] bool is_index_type(std::string_view media_type) noexcept;

} // namespace sluice::fetcher
