// SPDX-License-Identifier: Apache-2.0
#include "trust/private_key.hpp"

#include "base/text.hpp"
#include "trust/pem_file.hpp"

#include <algorithm>
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

bool is_encrypted(std::string_view pem)
{
    return has(pem, "BEGIN ENCRYPTED PRIVATE KEY") || has(pem, "Proc-Type: 4,ENCRYPTED");
}

/// OpenSSL's callback: `user` is the Secret.
int give_passphrase(char* out, int size, int /*writing*/, void* user) noexcept
{
    const auto text = static_cast<const Secret*>(user)->view();
    if (text.size() > static_cast<std::size_t>(size)) {
        return -1;
    }
    std::copy(text.begin(), text.end(), out);
    return static_cast<int>(text.size());
}

} // namespace

Result<PrivateKey> PrivateKey::parse(std::string_view pem, std::string name, const AskPassphrase& ask)
{
    if (has(pem, "BEGIN ENCRYPTED COSIGN PRIVATE KEY") || has(pem, "BEGIN ENCRYPTED SIGSTORE PRIVATE KEY")) {
        return fail(
            ErrorKind::kUnsupported,
            fmt::format(
                "key {}: cosign's own encrypted key files are not supported; make one with \"openssl genpkey "
                "-algorithm EC "
                "-pkeyopt ec_paramgen_curve:P-256\", which cosign takes with \"import-key-pair\"",
                printable(name)
            )
        );
    }
    const bool encrypted = is_encrypted(pem);
    Secret passphrase;
    if (encrypted && !ask) {
        return fail(
            ErrorKind::kDenied, fmt::format("key {}: it is encrypted and needs its passphrase", printable(name))
        );
    }
    if (encrypted) {
        auto answer = ask(name);
        if (!answer) {
            return fail(answer.error());
        }
        passphrase = std::move(*answer);
    }
    if (has(pem, "BEGIN PUBLIC KEY")) {
        return fail(
            ErrorKind::kInvalid, fmt::format("key {}: this is a public key, which cannot sign", printable(name))
        );
    }
    const auto bio = open_pem(pem);
    std::shared_ptr<evp_pkey_st> key{
        PEM_read_bio_PrivateKey(bio.get(), nullptr, give_passphrase, &passphrase), OpensslDeleter{}};
    if (key == nullptr) {
        const auto reason = take_openssl_errors();
        if (encrypted) {
            return fail(
                ErrorKind::kDenied, fmt::format("key {}: wrong passphrase, or the file is damaged", printable(name))
            );
        }
        return fail(
            ErrorKind::kInvalid, fmt::format("key {}: no readable private key in PEM ({})", printable(name), reason)
        );
    }
    auto half = PublicKey::adopt(std::move(key), std::move(name));
    if (!half) {
        return fail(half.error());
    }
    return PrivateKey{std::move(*half)};
}

Result<PrivateKey> PrivateKey::load(const std::filesystem::path& file, const AskPassphrase& ask)
{
    const auto pem = read_secret_file(file, fmt::format("key {}", printable(file.string())));
    if (!pem) {
        return fail(pem.error());
    }
    return parse(pem->view(), file.string(), ask);
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
