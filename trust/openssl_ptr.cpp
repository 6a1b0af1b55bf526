// SPDX-License-Identifier: Apache-2.0
#include "trust/openssl_ptr.hpp"

#include <array>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>

namespace sluice::trust {

void OpensslDeleter::operator()(bio_st* bio) const noexcept
{
    BIO_free(bio);
}

void OpensslDeleter::operator()(evp_md_ctx_st* context) const noexcept
{
    EVP_MD_CTX_free(context);
}

void OpensslDeleter::operator()(evp_pkey_st* key) const noexcept
{
    EVP_PKEY_free(key);
}

std::string take_openssl_errors()
{
    std::string text;
    while (const auto code = ERR_get_error()) {
        std::array<char, 256> line{};
        ERR_error_string_n(code, line.data(), line.size());
        text += text.empty() ? "" : "; ";
        text += line.data();
    }
    return text.empty() ? "no reason given" : text;
}

} // namespace sluice::trust
