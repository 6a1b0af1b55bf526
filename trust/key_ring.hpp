// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trust/public_key.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace sluice::trust {

/// Is `repository` ("registry.example/team/app", "oci:/srv/images") the prefix itself, or below it? Whole path
/// components count: "registry.example/team" holds "registry.example/team/app" and not "registry.example/teams". Pure.
[[nodiscard]] bool is_within(std::string_view repository, std::string_view prefix) noexcept;

/// A key, and the repositories that it may sign for.
struct TrustedKey {
    PublicKey key;
    std::vector<std::string> repositories; ///< prefixes, see is_within(); empty: all

    [[nodiscard]] bool may_sign_for(std::string_view repository) const noexcept;
};

/// A file that load() reads.
struct KeyFile {
    std::filesystem::path file;
    std::vector<std::string> repositories; ///< as in TrustedKey
};

/// What is trusted: keys in the order of the configuration, each once, and what is asked of their signatures. A value.
class KeyRing {
public:
    /// One key a file. The first file that cannot be used is the error.
    [[nodiscard]] static Result<KeyRing> load(std::span<const KeyFile> files);

    /// A key that is there already may sign for the repositories of both, and for all when either has no limits.
    void add(PublicKey key, std::vector<std::string> repositories = {});

    /// From now on a signature counts only for the repository that it names (its docker-reference).
    void require_signed_name() noexcept { requires_signed_name_ = true; }

    [[nodiscard]] bool requires_signed_name() const noexcept { return requires_signed_name_; }

    [[nodiscard]] const std::vector<TrustedKey>& keys() const noexcept { return keys_; }

    [[nodiscard]] bool empty() const noexcept { return keys_.empty(); }

    /// Comma-separated descriptions, or "none".
    [[nodiscard]] std::string describe() const;

    /// The first key whose signature over `message` this is, or null.
    [[nodiscard]] const TrustedKey*
    find_signer(std::span<const std::byte> message, std::span<const std::byte> signature) const;

    /// Null when there is none of this id.
    [[nodiscard]] const TrustedKey* find(const Digest& id) const noexcept;

private:
    std::vector<TrustedKey> keys_;
    bool requires_signed_name_ = false;
};

} // namespace sluice::trust
