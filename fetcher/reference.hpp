// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/result.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sluice::fetcher {

/// Where images lie: a repository of a registry, or an image layout directory. A value type.
struct Repository {
    std::string registry; ///< "host" or "host:port", IPv6 in brackets; empty for a layout
    std::string name;     ///< "library/debian", or the layout's absolute path

    /// From "registry/name" or "oci:/path": the form that to_string() prints, nothing is added to
    /// it.
    [[nodiscard]] static Result<Repository> parse(std::string_view text);

    [[nodiscard]] bool is_layout() const noexcept { return registry.empty(); }

    /// What BlobLocation::repository holds.
    [[nodiscard]] std::string to_string() const;

    friend bool operator==(const Repository&, const Repository&) = default;
};

/// Whether Repository::to_string() has printed the name of an image layout.
[[nodiscard]] inline bool is_layout(std::string_view repository) noexcept
{
    return repository.starts_with("oci:");
}

/// An image's name as users write it: `[registry/]name[:tag][@digest]` or
/// `oci:/path[:tag][@digest]`. Without a registry it is docker.io, without tag and digest the tag
/// is "latest"; when both are given, the digest decides.
struct Reference {
    Repository repository;
    std::string tag; ///< empty when only a digest was given
    std::optional<Digest> digest;

    [[nodiscard]] static Result<Reference> parse(std::string_view text);

    /// What to ask the repository for: the digest's printed form, else the tag.
    [[nodiscard]] std::string tag_or_digest() const;

    /// Complete: nothing is left to defaults.
    [[nodiscard]] std::string to_string() const;

    friend bool operator==(const Reference&, const Reference&) = default;
};

[[nodiscard]] bool is_valid_tag(std::string_view tag) noexcept;

} // namespace sluice::fetcher
