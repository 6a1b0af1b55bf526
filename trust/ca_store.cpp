// SPDX-License-Identifier: Apache-2.0
#include "trust/ca_store.hpp"

#include "base/text.hpp"
#include "trust/openssl_ptr.hpp"

#include <fmt/format.h>
#include <new>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <system_error>
#include <utility>

namespace sluice::trust {

Result<CaStore> CaStore::load(const std::filesystem::path& bundle)
{
    std::shared_ptr<X509_STORE> store{X509_STORE_new(), &X509_STORE_free};
    if (!store) {
        throw std::bad_alloc{};
    }
    if (X509_STORE_load_file(store.get(), bundle.c_str()) != 1) {
        return fail(
            ErrorKind::kInvalid,
            fmt::format(
                "{}: no certificates (PEM) can be read from it: {}", printable(bundle.string()), take_openssl_errors()
            )
        );
    }
    // As libcurl sets them on a store of its own: an authority between, or the server's own certificate, is enough.
    X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    return CaStore{std::move(store)};
}

bool CaStore::install(void* ssl_context) const noexcept
{
    auto* context = static_cast<SSL_CTX*>(ssl_context);
    SSL_CTX_set1_cert_store(context, store_.get());
    return SSL_CTX_get_cert_store(context) == store_.get();
}

std::filesystem::path system_ca_bundle()
{
    const std::filesystem::path debian{"/etc/ssl/certs/ca-certificates.crt"};
    std::error_code ignored;
    return std::filesystem::is_regular_file(debian, ignored) ? debian : std::filesystem::path{};
}

} // namespace sluice::trust
