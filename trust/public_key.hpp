// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_pkey_st;

namespace sluice::trust {

/// How a key signs: cosign's choice of digest follows from the key.
enum class KeyType : std::uint8_t { kEcP256, kEcP384, kEcP521, kRsa, kEd25519 };

[[nodiscard]] std::string_view to_string(KeyType type) noexcept;

/// A key whose signatures are believed. A cheap value, safe to share between threads.
class PublicKey {
public:
    /// From the first PEM block ("BEGIN PUBLIC KEY") of `pem`. `name` stands for the key in texts.
    /// Invalid for what is no public key, Unsupported for curves, sizes and algorithms outside
    /// KeyType (RSA below 2048 bits, for one).
    [[nodiscard]] static Result<PublicKey> parse(std::string_view pem, std::string name);

    /// The same from a file, which also is its name.
    [[nodiscard]] static Result<PublicKey> load(const std::filesystem::path& file);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// SHA-256 of the key's SubjectPublicKeyInfo in DER.
    [[nodiscard]] const Digest& id() const noexcept { return id_; }

    [[nodiscard]] KeyType type() const noexcept { return type_; }

    /// "keys/team.pem (EC P-256, 1f00…)"
    [[nodiscard]] std::string describe() const;

    /// Whether `signature` (ECDSA: DER; RSA: PKCS#1 v1.5; Ed25519: pure) is this key's over exactly
    /// `message`.
    [[nodiscard]] bool verify(std::span<const std::byte> message, std::span<const std::byte> signature) const;

private:
    friend class PrivateKey;

    PublicKey() = default;
    [[nodiscard]] static Result<PublicKey> adopt(std::shared_ptr<evp_pkey_st> key, std::string name);

    std::shared_ptr<evp_pkey_st> key_;
    std::string name_;
    Digest id_;
    KeyType type_ = KeyType::kEcP256;
};

} // namespace sluice::trust
