// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trust/public_key.hpp"

#include <vector>

namespace sluice::trust {

/// The keys that are trusted, in the order of the configuration, each once. A value.
class KeyRing {
public:
    /// One key a file. The first file that cannot be used is the error; a key that is there twice
    /// counts once.
    [[nodiscard]] static Result<KeyRing> load(std::span<const std::filesystem::path> files);

    void add(PublicKey key);

    [[nodiscard]] const std::vector<PublicKey>& keys() const noexcept { return keys_; }

    [[nodiscard]] bool empty() const noexcept { return keys_.empty(); }

    /// Comma-separated descriptions, or "none".
    [[nodiscard]] std::string describe() const;

    /// The first key whose signature over `message` this is, or null.
    [[nodiscard]] const PublicKey*
    find_signer(std::span<const std::byte> message, std::span<const std::byte> signature) const;

private:
    std::vector<PublicKey> keys_;
};

} // namespace sluice::trust
