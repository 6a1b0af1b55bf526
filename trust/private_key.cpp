// SPDX-License-Identifier: Apache-2.0
#include "trust/private_key.hpp"

#include "base/text.hpp"
#include "trust/pem_file.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <utility>

namespace sluice::trust {

namespace {

bool has(std::string_view pem, std::string_view words)
{
    return pem.find(words) != std::string_view::npos;
}

} // namespace

Result<PrivateKey> PrivateKey::parse(std::string_view pem, std::string name)
{
    if (has(pem, "BEGIN ENCRYPTED COSIGN PRIVATE KEY") || has(pem, "BEGIN ENCRYPTED SIGSTORE PRIVATE KEY")) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format(
                "key {}: cosign's encrypted key files are not supported; make a plain one with "
                "\"openssl genpkey "
                "-algorithm EC -pkeyopt ec_paramgen_curve:P-256\" (cosign takes it with "
                "\"import-key-pair\")",
                printable(name)
            )
        );
    }
    if (has(pem, "BEGIN ENCRYPTED PRIVATE KEY") || has(pem, "Proc-Type: 4,ENCRYPTED")) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format(
                "key {}: encrypted keys are not supported; decrypt it with \"openssl pkey -in "
                "FILE\"",
                printable(name)
            )
        );
    }
    if (has(pem, "BEGIN PUBLIC KEY")) {
        return fail(
            ErrorKind::kInvalid, fmt::format("key {}: this is a public key, which cannot sign", printable(name))
        );
    }
    const auto bio = open_pem(pem);
    std::shared_ptr<evp_pkey_st> key{
        PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, nullptr), OpensslDeleter{}};
    if (key == nullptr) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format("key {}: no readable private key in PEM ({})", printable(name), take_openssl_errors())
        );
    }
    auto half = PublicKey::adopt(std::move(key), std::move(name));
    if (!half) {
        return fail(half.error());
    }
    return PrivateKey{std::move(*half)};
}

Result<PrivateKey> PrivateKey::load(const std::filesystem::path& file)
{
    const auto pem = read_pem_file(file);
    if (!pem) {
        return fail(pem.error());
    }
    return parse(*pem, file.string());
}

Result<std::vector<std::byte>> PrivateKey::sign(std::span<const std::byte> message) const
{
    const MdContextPtr context{EVP_MD_CTX_new()};
    auto* key = public_.key_.get();
    const auto* md = digest_for(public_.type_);
    const auto* text = static_cast<const unsigned char*>(static_cast<const void*>(message.data()));
    std::size_t size = 0;
    std::vector<std::byte> signature;
    if (context != nullptr && EVP_DigestSignInit(context.get(), nullptr, md, nullptr, key) == 1 &&
        EVP_DigestSign(context.get(), nullptr, &size, text, message.size()) == 1) {
        signature.resize(size);
        auto* out = static_cast<unsigned char*>(static_cast<void*>(signature.data()));
        if (EVP_DigestSign(context.get(), out, &size, text, message.size()) == 1) {
            signature.resize(size);
            return signature;
        }
    }
    return fail(
        ErrorKind::kInternal, fmt::format("key {}: cannot sign: {}", printable(public_.name_), take_openssl_errors())
    );
}

} // namespace sluice::trust
