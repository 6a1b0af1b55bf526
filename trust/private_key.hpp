// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trust/public_key.hpp"
#include "trust/secret.hpp"

#include <functional>
#include <vector>

namespace sluice::trust {

/// Where the passphrase of an encrypted key comes from; called at most once, and not for plain keys.
using AskPassphrase = std::function<Result<Secret>(const std::string& key_name)>;

/// A key that signs; for publishing only, the daemon never has one.
class PrivateKey {
public:
    /// From PEM: "PRIVATE KEY" (PKCS#8), "EC PRIVATE KEY" or "RSA PRIVATE KEY", or an encrypted form of these, whose
    /// passphrase `ask` is asked for: Denied without `ask`, or with a wrong one. cosign's own encrypted form is
    /// Unsupported, with a text that says how to convert it.
    [[nodiscard]] static Result<PrivateKey>
    parse(std::string_view pem, std::string name, const AskPassphrase& ask = {});

    /// The same from a file that nobody else may read (see read_secret_file).
    [[nodiscard]] static Result<PrivateKey> load(const std::filesystem::path& file, const AskPassphrase& ask = {});

    /// The half that verifies.
    [[nodiscard]] const PublicKey& public_key() const noexcept { return public_; }

    /// In the form that PublicKey::verify() takes.
    [[nodiscard]] Result<std::vector<std::byte>> sign(std::span<const std::byte> message) const;

private:
    explicit PrivateKey(PublicKey key) : public_{std::move(key)} {}

    PublicKey public_; // its EVP_PKEY holds the private part too
};

} // namespace sluice::trust
