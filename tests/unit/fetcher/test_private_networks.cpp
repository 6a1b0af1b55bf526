// SPDX-License-Identifier: Apache-2.0
//
// A registry on the public network leads us to what only this machine can reach. Both servers are on the loopback
// network, so the test says which is where by its port.
#include "tests/unit/fetcher/fetch_fixture.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>

namespace sluice::fetcher {
namespace {

using test::FakeRegistry;
using test::Fault;
using ::testing::HasSubstr;

class PrivateNetworks : public FetchTest {
protected:
    void SetUp() override
    {
        FetchTest::SetUp();
        blob = add_blob(content);
        registry->add_manifest("team/app", "v1", "application/vnd.oci.image.manifest.v1+json", "{}");
        storage->add_manifest("team/app", "v1", "application/vnd.oci.image.manifest.v1+json", "{}");
        const auto port = *parse_u64(storage->host().substr(storage->host().find(':') + 1));
        options.http.network_of = [this, port](const sockaddr& address) {
            sockaddr_in v4{};
            std::memcpy(&v4, &address, sizeof v4);
            return ntohs(v4.sin_port) == port ? inside : Network::kPublic;
        };
    }

    void lead_astray(const std::string& what, const std::string& path)
    {
        const auto there = fmt::format("Location: http://{}{}", storage->host(), path);
        registry->script(what, Fault{.status = 307, .headers = {there}}, FakeRegistry::kForever);
    }

    Result<RawManifest> fetch_manifest(const std::string& from)
    {
        return *test::run_task(*loop, images().fetch_manifest(from, "v1", deadline()));
    }

    void expect_refused(const Error& error) const
    {
        EXPECT_EQ(error.kind(), ErrorKind::kDenied);
        EXPECT_THAT(error.text(), HasSubstr("http://" + storage->host()));
        EXPECT_THAT(error.text(), HasSubstr("127.0.0.1, a private address"));
        EXPECT_THAT(error.text(), HasSubstr("registry-private-networks"));
        EXPECT_EQ(storage->connections(), 0U) << "not even a connection is made";
    }

    [[nodiscard]] std::string blob_path() const { return "/v2/team/app/blobs/" + blob.digest.to_string(); }

    Network inside = Network::kPrivate;
    std::string content = pattern(100'000);
    BlobLocation blob;
};

TEST_F(PrivateNetworks, NoRedirectOfAManifestLeadsThere)
{
    lead_astray("/manifests/", "/v2/team/app/manifests/v1");
    const auto raw = fetch_manifest(repository());
    ASSERT_FALSE(raw);
    expect_refused(raw.error());
}

TEST_F(PrivateNetworks, NoRedirectOfABlobLeadsThere)
{
    lead_astray("/blobs/", blob_path());
    CollectingSink sink{0};
    const auto outcome = fetch(blob, {0, 8192}, sink);
    ASSERT_FALSE(outcome);
    expect_refused(outcome.error());
    const auto again = fetch(blob, {0, 8192}, sink);
    ASSERT_FALSE(again) << "an address that was remembered is no better";
    expect_refused(again.error());
}

TEST_F(PrivateNetworks, NoTokenServerIsThere)
{
    const auto challenge = fmt::format("WWW-Authenticate: Bearer realm=\"http://{}/token\"", storage->host());
    registry->script("/manifests/", Fault{.status = 401, .headers = {challenge}}, FakeRegistry::kForever);
    const auto raw = fetch_manifest(repository());
    ASSERT_FALSE(raw);
    expect_refused(raw.error());
}

TEST_F(PrivateNetworks, NothingIsUploadedThere)
{
    const auto there = fmt::format("Location: http://{}/v2/team/app/blobs/uploads/one?_state=started", storage->host());
    registry->script("/blobs/uploads/", Fault{.status = 202, .headers = {there}});
    const std::string bytes = "some bytes";
    const auto pushed = *test::run_task(
        *loop, target().push_blob_bytes(repository(), bytes, fake_sha256(as_byte_span(bytes)), deadline())
    );
    ASSERT_FALSE(pushed);
    expect_refused(pushed.error());
}

TEST_F(PrivateNetworks, AConnectionThatIsThereAlreadyIsNotUsedForIt)
{
    ASSERT_TRUE(fetch_manifest(storage->host() + "/team/app")) << "a registry may be there: we were told to go";
    ASSERT_EQ(storage->requests().size(), 1U);
    lead_astray("/manifests/", "/v2/team/app/manifests/v1");
    const auto raw = fetch_manifest(repository());
    ASSERT_FALSE(raw);
    EXPECT_EQ(raw.error().kind(), ErrorKind::kDenied);
    EXPECT_EQ(storage->requests().size(), 1U);
}

TEST_F(PrivateNetworks, ARegistryThatIsThereItselfMayLeadThere)
{
    options.http.network_of = [](const sockaddr&) { return Network::kPrivate; };
    lead_astray("/blobs/", blob_path());
    CollectingSink sink{0};
    const auto outcome = fetch(blob, {0, 8192}, sink);
    EXPECT_TRUE(outcome) << outcome.error().text();
}

TEST_F(PrivateNetworks, TheConfigurationMayAllowIt)
{
    options.http.private_networks = true;
    inside = Network::kLoopback;
    lead_astray("/blobs/", blob_path());
    CollectingSink sink{0};
    const auto outcome = fetch(blob, {0, 8192}, sink);
    EXPECT_TRUE(outcome) << outcome.error().text();
}

/// The second server is a proxy, which is where the environment says it is.
TEST_F(PrivateNetworks, AProxyMayBeThereAndAskForNamesButNotForForbiddenNumbers)
{
    const auto proxy = "http://" + storage->host();
    options.http.proxies = ProxySettings{
        [&](const char* name) { return std::string_view{name} == "http_proxy" ? proxy.c_str() : nullptr; }};
    options.insecure.emplace_back("registry.invalid");
    ASSERT_FALSE(fetch_manifest("registry.invalid/team/other")) << "the proxy does not have it";
    EXPECT_EQ(storage->count_requests("http://registry.invalid/v2/team/other/manifests/v1"), 1U);

    options.http.network_of = &network_of;
    targets.reset();
    sources.reset();
    storage->script("/manifests/", Fault{.status = 307, .headers = {"Location: http://169.254.169.254/secrets"}});
    const auto raw = fetch_manifest("registry.invalid/team/other");
    ASSERT_FALSE(raw);
    EXPECT_EQ(raw.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(raw.error().text(), HasSubstr("169.254.169.254, a link-local address"));
    EXPECT_EQ(storage->count_requests("/secrets"), 0U);

    storage->script("/manifests/", Fault{.status = 307, .headers = {"Location: http://storage.invalid/there"}});
    ASSERT_FALSE(fetch_manifest("registry.invalid/team/other"));
    EXPECT_EQ(storage->count_requests("http://storage.invalid/there"), 1U);
}

} // namespace
} // namespace sluice::fetcher
