// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trust/public_key.hpp"

#include <vector>

namespace sluice::trust {

/// A key that signs; for publishing only, the daemon never has one.
class PrivateKey {
public:
    /// From unencrypted PEM: "PRIVATE KEY" (PKCS#8), "EC PRIVATE KEY" or "RSA PRIVATE KEY".
    /// Encrypted keys, cosign's own form among them, are Unsupported, with a text that says how to
    /// convert them.
    [[nodiscard]] static Result<PrivateKey> parse(std::string_view pem, std::string name);
    [[nodiscard]] static Result<PrivateKey> load(const std::filesystem::path& file);

    /// The half that verifies.
    [[nodiscard]] const PublicKey& public_key() const noexcept { return public_; }

    /// In the form that PublicKey::verify() takes.
    [[nodiscard]] Result<std::vector<std::byte>> sign(std::span<const std::byte> message) const;

private:
    explicit PrivateKey(PublicKey key) : public_{std::move(key)} {}

    PublicKey public_; // its EVP_PKEY holds the private part too
};

} // namespace sluice::trust
