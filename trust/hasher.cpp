// SPDX-License-Identifier: Apache-2.0
#include "trust/hasher.hpp"

#include <new>
#include <openssl/evp.h>

namespace sluice::trust {

namespace {

// Fetched once: EVP_sha256() would be looked up again at every initialisation, which costs as much
// as hashing a block.
const EVP_MD* sha256_method()
{
    static const EVP_MD* const kMethod = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return kMethod;
}

void require(int outcome)
{
    if (outcome != 1) {
        throw std::bad_alloc{}; // SHA-256 itself cannot fail
    }
}

MdContextPtr new_context()
{
    MdContextPtr context{EVP_MD_CTX_new()};
    require(context != nullptr && sha256_method() != nullptr ? 1 : 0);
    require(EVP_DigestInit_ex2(context.get(), sha256_method(), nullptr));
    return context;
}

// A context that has its method already is set back without looking anything up.
Digest finish_and_reset(EVP_MD_CTX* context)
{
    Digest::Bytes bytes{};
    require(EVP_DigestFinal_ex(context, static_cast<unsigned char*>(static_cast<void*>(bytes.data())), nullptr));
    require(EVP_DigestInit_ex2(context, nullptr, nullptr));
    return Digest{bytes};
}

} // namespace

Digest sha256(std::span<const std::byte> bytes)
{
    thread_local const MdContextPtr kContext = new_context();
    require(EVP_DigestUpdate(kContext.get(), bytes.data(), bytes.size()));
    return finish_and_reset(kContext.get());
}

Hasher::Hasher() : context_{new_context()} {}

void Hasher::update(std::span<const std::byte> bytes)
{
    require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

Digest Hasher::finish()
{
    return finish_and_reset(context_.get());
}

} // namespace sluice::trust
