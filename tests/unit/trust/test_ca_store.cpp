// SPDX-License-Identifier: Apache-2.0
#include "tests/support/temp_dir.hpp"
#include "trust/ca_store.hpp"
#include "trust/openssl_ptr.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string>

namespace sluice::trust {
namespace {

using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
using ContextPtr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

struct Party {
    PkeyPtr key{EVP_EC_gen("P-256")};
    CertificatePtr certificate{X509_new(), &X509_free};
};

/// `by` null: it signs itself.
Party certified(const std::string& name, bool is_authority, const Party* by)
{
    Party party;
    auto* const certificate = party.certificate.get();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, party.key.get());
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): OpenSSL's bytes
    const auto* const text = reinterpret_cast<const unsigned char*>(name.c_str());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, text, -1, -1, 0);
    const auto& issuer = by == nullptr ? party : *by;
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate.get()));
    auto* const constraints =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    X509_add_ext(certificate, constraints, -1);
    X509_EXTENSION_free(constraints);
    EXPECT_GT(X509_sign(certificate, issuer.key.get(), EVP_sha256()), 0);
    return party;
}

class CaStoreTest : public ::testing::Test {
protected:
    [[nodiscard]] std::string bundle_of(const Party& party) const
    {
        const BioPtr out{BIO_new(BIO_s_mem())};
        EXPECT_EQ(PEM_write_bio_X509(out.get(), party.certificate.get()), 1);
        char* text = nullptr;
        const auto size = BIO_get_mem_data(out.get(), &text);
        return directory_.write("bundle.pem", std::string{text, static_cast<std::size_t>(size)}).string();
    }

    /// Whether a server with leaf_ that sends middle_ as well is believed where `bundle` is trusted.
    [[nodiscard]] bool believes(const std::string& bundle) const
    {
        const auto store = CaStore::load(bundle);
        EXPECT_TRUE(store) << store.error().text();
        const ContextPtr tls{SSL_CTX_new(TLS_client_method()), &SSL_CTX_free};
        EXPECT_TRUE(store && store->install(tls.get()));
        const std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> sent{
            sk_X509_new_null(), [](STACK_OF(X509) * stack) { sk_X509_free(stack); }};
        sk_X509_push(sent.get(), middle_.certificate.get());
        const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check{
            X509_STORE_CTX_new(), &X509_STORE_CTX_free};
        auto* const trusted = SSL_CTX_get_cert_store(tls.get());
        EXPECT_EQ(X509_STORE_CTX_init(check.get(), trusted, leaf_.certificate.get(), sent.get()), 1);
        return X509_verify_cert(check.get()) == 1;
    }

    test::TempDir directory_;
    Party root_ = certified("root", true, nullptr);
    Party middle_ = certified("middle", true, &root_);
    Party leaf_ = certified("registry", false, &middle_);
};

TEST_F(CaStoreTest, ARootIsBelieved)
{
    EXPECT_TRUE(believes(bundle_of(root_)));
    EXPECT_FALSE(believes(bundle_of(certified("another root", true, nullptr))));
}

TEST_F(CaStoreTest, AnIntermediateAuthorityAloneIsEnough)
{
    EXPECT_TRUE(believes(bundle_of(middle_)));
}

TEST_F(CaStoreTest, TheServersOwnCertificateIsEnough)
{
    EXPECT_TRUE(believes(bundle_of(leaf_)));
}

} // namespace
} // namespace sluice::trust
