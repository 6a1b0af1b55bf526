// SPDX-License-Identifier: Apache-2.0
#include "trust/public_key.hpp"

#include "base/text.hpp"
#include "trust/hasher.hpp"
#include "trust/openssl_ptr.hpp"
#include "trust/pem_file.hpp"

#include <array>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::trust {

namespace {

constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 16384; // OpenSSL refuses larger ones itself, after having spent the time

Failure unsupported(std::string_view name, std::string_view what)
{
    return fail(
        ErrorKind::kUnsupported,
        fmt::format(
            "key {}: {} is not supported; use EC P-256, P-384 or P-521, Ed25519, or RSA of {} bits "
            "or more",
            printable(name),
            what,
            kMinRsaBits
        )
    );
}

Result<KeyType> ec_type(EVP_PKEY* key, std::string_view name)
{
    std::array<char, 64> curve{};
    if (EVP_PKEY_get_group_name(key, curve.data(), curve.size(), nullptr) != 1) {
        ERR_clear_error();
        return unsupported(name, "an elliptic curve without a name");
    }
    const std::string_view found{curve.data()};
    if (found == "prime256v1" || found == "P-256") {
        return KeyType::kEcP256;
    }
    if (found == "secp384r1" || found == "P-384") {
        return KeyType::kEcP384;
    }
    if (found == "secp521r1" || found == "P-521") {
        return KeyType::kEcP521;
    }
    return unsupported(name, fmt::format("curve {}", found));
}

Result<KeyType> type_of(EVP_PKEY* key, std::string_view name)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
        return ec_type(key, name);
    case EVP_PKEY_ED25519:
        return KeyType::kEd25519;
    case EVP_PKEY_RSA: {
        const int bits = EVP_PKEY_get_bits(key);
        if (bits < kMinRsaBits || bits > kMaxRsaBits) {
            return unsupported(name, fmt::format("RSA of {} bits", bits));
        }
        return KeyType::kRsa;
    }
    default: {
        const char* type = EVP_PKEY_get0_type_name(key);
        return unsupported(name, fmt::format("type {}", type == nullptr ? "unknown" : type));
    }
    }
}

Result<Digest> id_of(EVP_PKEY* key, std::string_view name)
{
    unsigned char* der = nullptr;
    const int length = i2d_PUBKEY(key, &der);
    if (length <= 0) {
        return fail(ErrorKind::kInvalid, fmt::format("key {}: {}", printable(name), take_openssl_errors()));
    }
    const auto id = sha256(std::as_bytes(std::span{der, static_cast<std::size_t>(length)}));
    OPENSSL_free(der);
    return id;
}

} // namespace

const evp_md_st* digest_for(KeyType type) noexcept
{
    switch (type) {
    case KeyType::kEcP384:
        return EVP_sha384();
    case KeyType::kEcP521:
        return EVP_sha512();
    case KeyType::kEd25519:
        return nullptr; // pure: the message itself is signed
    case KeyType::kEcP256:
    case KeyType::kRsa:
        break;
    }
    return EVP_sha256();
}

std::string_view to_string(KeyType type) noexcept
{
    switch (type) {
    case KeyType::kEcP256:
        return "EC P-256";
    case KeyType::kEcP384:
        return "EC P-384";
    case KeyType::kEcP521:
        return "EC P-521";
    case KeyType::kRsa:
        return "RSA";
    case KeyType::kEd25519:
        return "Ed25519";
    }
    return "unknown";
}

Result<PublicKey> PublicKey::adopt(std::shared_ptr<evp_pkey_st> key, std::string name)
{
    const auto type = type_of(key.get(), name);
    if (!type) {
        return fail(type.error());
    }
    const auto id = id_of(key.get(), name);
    if (!id) {
        return fail(id.error());
    }
    PublicKey result;
    result.key_ = std::move(key);
    result.name_ = std::move(name);
    result.id_ = *id;
    result.type_ = *type;
    return result;
}

Result<PublicKey> PublicKey::parse(std::string_view pem, std::string name)
{
    if (pem.find("PRIVATE KEY-----") != std::string_view::npos) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("key {}: this is a private key; only its public half belongs here", printable(name))
        );
    }
    const auto bio = open_pem(pem);
    std::shared_ptr<evp_pkey_st> key{
        PEM_read_bio_PUBKEY(bio.get(), nullptr, refuse_passphrase, nullptr), OpensslDeleter{}};
    if (key == nullptr) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("key {}: no readable \"BEGIN PUBLIC KEY\" block ({})", printable(name), take_openssl_errors())
        );
    }
    return adopt(std::move(key), std::move(name));
}

Result<PublicKey> PublicKey::load(const std::filesystem::path& file)
{
    const auto pem = read_pem_file(file);
    if (!pem) {
        return fail(pem.error());
    }
    return parse(*pem, file.string());
}

std::string PublicKey::describe() const
{
    return fmt::format("{} ({}, {})", printable(name_), to_string(type_), id_.hex().substr(0, 16));
}

bool PublicKey::verify(std::span<const std::byte> message, std::span<const std::byte> signature) const
{
    const MdContextPtr context{EVP_MD_CTX_new()};
    const auto* text = static_cast<const unsigned char*>(static_cast<const void*>(message.data()));
    const auto* sig = static_cast<const unsigned char*>(static_cast<const void*>(signature.data()));
    const bool good = context != nullptr &&
                      EVP_DigestVerifyInit(context.get(), nullptr, digest_for(type_), nullptr, key_.get()) == 1 &&
                      EVP_DigestVerify(context.get(), sig, signature.size(), text, message.size()) == 1;
    if (!good) {
        ERR_clear_error(); // a wrong signature is an answer, not an event of this thread
    }
    return good;
}

} // namespace sluice::trust
