// SPDX-License-Identifier: Apache-2.0
#include "tests/support/heap_scan.hpp"
#include "tests/unit/fetcher/one_blob_fixture.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace sluice::fetcher {
namespace {

using test::FakeRegistry;
using test::Fault;
using ::testing::HasSubstr;
using ::testing::Not;

class AuthAndRedirects : public OneBlobTest {
protected:
    AuthAndRedirects() : OneBlobTest{200'000} {}

    Result<void> fetch_some(std::uint64_t begin = 0)
    {
        CollectingSink sink{begin};
        auto outcome = fetch(blob, {begin, begin + 8192}, sink);
        if (outcome) {
            EXPECT_TRUE(sink.bytes == content.substr(begin, 8192));
        }
        return outcome;
    }

    void write_credentials(const std::string& user, const std::string& password)
    {
        const auto plain = user + ':' + password;
        options.credentials_file = directory.write(
            "config.json",
            fmt::format(R"({{"auths":{{"{}":{{"auth":"{}"}}}}}})", registry->host(), encode_base64(as_byte_span(plain)))
        );
    }

    test::TempDir directory;
};

TEST_F(AuthAndRedirects, AnAnonymousTokenIsFetchedOnceAndKept)
{
    registry->require_bearer();
    ASSERT_TRUE(fetch_some());
    ASSERT_TRUE(fetch_some(4096));
    EXPECT_EQ(registry->count_requests("/token"), 1U);
    EXPECT_EQ(registry->count_requests("/blobs/"), 3U);
    EXPECT_EQ(source().counters().tokens, 1U);
}

TEST_F(AuthAndRedirects, AForbiddenTokenMayOnlyBeTooOld)
{
    registry->require_bearer();
    ASSERT_TRUE(fetch_some());
    registry->script("/blobs/", Fault{.status = 403});
    EXPECT_TRUE(fetch_some(4096));
    EXPECT_EQ(registry->count_requests("/token"), 2U);

    registry->script("/blobs/", Fault{.status = 403}, FakeRegistry::kForever);
    const auto refused = fetch_some(8192);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
    EXPECT_EQ(registry->count_requests("/token"), 3U) << "asked for once more, and no more than once";
}

TEST_F(AuthAndRedirects, ManyAtOnceShareOneToken)
{
    registry->require_bearer();
    registry->script("/token", Fault{.hold = true});
    constexpr int kFetches = 20;
    std::vector<std::unique_ptr<CollectingSink>> sinks;
    int succeeded = 0;
    TaskScope scope{*loop};

    for (int i = 0; i < kFetches; ++i) {
        sinks.push_back(std::make_unique<CollectingSink>(0));
        scope.spawn(
            count_success(source().blobs(blob.repository).fetch(blob, {0, 4096}, *sinks.back(), deadline()), succeeded)
        );
    }
    ASSERT_TRUE(test::run_until(*loop, [&] {
        return registry->held() == 1 && registry->count_requests("/blobs/") == options.http.connections_per_host;
    }));
    registry->release();
    ASSERT_TRUE(test::run_until(*loop, [&] { return scope.empty(); }));
    EXPECT_EQ(succeeded, kFetches);
    EXPECT_EQ(registry->count_requests("/token"), 1U);
}

TEST_F(AuthAndRedirects, TheLeaderOfATokenMayBeCancelled)
{
    registry->require_bearer();
    registry->script("/token", Fault{.hold = true}, FakeRegistry::kForever);

    int succeeded = 0;
    CollectingSink first{0};
    CollectingSink second{0};
    TaskScope follower{*loop};
    {
        TaskScope leader{*loop};
        leader.spawn(count_success(source().blobs(blob.repository).fetch(blob, {0, 4096}, first, deadline()), succeeded)
        );
        ASSERT_TRUE(test::run_until(*loop, [&] { return registry->held() == 1; }));
        follower.spawn(
            count_success(source().blobs(blob.repository).fetch(blob, {0, 4096}, second, deadline()), succeeded)
        );
        ASSERT_TRUE(test::run_until(*loop, [&] { return registry->count_requests("/blobs/") == 2; }));
        loop->run_once(milliseconds{1});
    }
    registry->release();
    ASSERT_TRUE(test::run_until(*loop, [&] { return follower.empty(); }));
    EXPECT_EQ(succeeded, 1);
    EXPECT_TRUE(first.bytes.empty());
}

TEST_F(AuthAndRedirects, ARevokedTokenIsRenewed)
{
    registry->require_bearer();
    ASSERT_TRUE(fetch_some());
    registry->revoke_tokens();
    ASSERT_TRUE(fetch_some());
    EXPECT_EQ(registry->count_requests("/token"), 2U);
}

TEST_F(AuthAndRedirects, ATokenIsRenewedWithoutAskingTheRegistryFirst)
{
    registry->require_bearer();
    registry->set_token_lifetime(1000); // used for 800 s at most, and 700 s at least
    auto passed = milliseconds{0};
    options.now = [&passed] { return SteadyClock::now() + passed; };
    ASSERT_TRUE(fetch_some());
    passed = std::chrono::seconds{600};
    ASSERT_TRUE(fetch_some());
    EXPECT_EQ(registry->count_requests("/token"), 1U);
    passed = std::chrono::seconds{801};
    ASSERT_TRUE(fetch_some());
    EXPECT_EQ(registry->count_requests("/token"), 2U);
    EXPECT_EQ(registry->count_requests("/blobs/"), 4U) << "a token that had ended was used";
}

TEST_F(AuthAndRedirects, CredentialsAreReadAnewAtEachRefusal)
{
    registry->require_bearer("alice", "secret");
    write_credentials("alice", "wrong");
    const auto refused = fetch_some();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
    write_credentials("alice", "secret");
    const auto outcome = fetch_some();
    EXPECT_TRUE(outcome) << outcome.error().text();
}

TEST_F(AuthAndRedirects, BasicAuthenticationUsesTheConfiguredPassword)
{
    registry->require_basic("alice", "pass:word");
    const auto refused = fetch_some();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(refused.error().text(), HasSubstr("name and password"));
    targets.reset();
    sources.reset();
    write_credentials("alice", "pass:word");
    ASSERT_TRUE(fetch_some());
}

TEST_F(AuthAndRedirects, AMissingHelperIsNamedWithTheFileThatWantsIt)
{
    registry->require_basic("alice", "secret");
    options.credentials_file = directory.write("config.json", R"({"credsStore":"nowhere-to-be-found"})");
    const auto refused = fetch_some();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(refused.error().text(), HasSubstr("config.json"));
    EXPECT_THAT(refused.error().text(), HasSubstr("docker-credential-nowhere-to-be-found"));
}

TEST_F(AuthAndRedirects, NoTokenIsLeftInMemory)
{
    constexpr std::string_view kMasked = "pl_}wRv|Z|_`w' y\\{%;gpr|fagl8az~p{;\"\"\"";
    registry->require_bearer();
    options.credentials_file = directory.write(
        "config.json",
        fmt::format(R"({{"auths":{{"{}":{{"registrytoken":"{}"}}}}}})", registry->host(), test::unmask(kMasked))
    );
    EXPECT_EQ(fetch_some().error().kind(), ErrorKind::kDenied) << "the registry knows no such token";
    EXPECT_EQ(registry->requests().back().header("authorization"), "Bearer " + test::unmask(kMasked));
    EXPECT_EQ(registry->count_requests("/token"), 0U);
    targets.reset();
    sources.reset();
    registry.reset();
    EXPECT_FALSE(test::heap_holds(kMasked));
}

TEST_F(AuthAndRedirects, APasswordThatIsRefusedEndsIt)
{
    registry->require_basic("alice", "right");
    write_credentials("alice", "wrong");
    const auto refused = fetch_some();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(refused.error().text(), HasSubstr("401"));
    EXPECT_LE(registry->count_requests("/blobs/"), 3U);
}

TEST_F(AuthAndRedirects, AuthorizationNeverReachesTheStorage)
{
    registry->require_basic("alice", "secret");
    write_credentials("alice", "secret");
    registry->redirect_blobs(*storage, "?X-Amz-Signature=hush");
    ASSERT_TRUE(fetch_some(4096));
    const auto requests = storage->requests();
    ASSERT_EQ(requests.size(), 1U);
    EXPECT_EQ(requests[0].header("authorization"), "");
    EXPECT_EQ(requests[0].header("range"), "bytes=4096-12287");
    EXPECT_EQ(requests[0].query, "X-Amz-Signature=hush");
}

TEST_F(AuthAndRedirects, TheStoragesAddressIsRemembered)
{
    registry->redirect_blobs(*storage, "?sig=1");
    ASSERT_TRUE(fetch_some());
    ASSERT_TRUE(fetch_some(4096));
    EXPECT_EQ(registry->requests().size(), 1U);
    EXPECT_EQ(storage->requests().size(), 2U);
}

TEST_F(AuthAndRedirects, AnAddressThatIsOverIsAskedForAgainOnce)
{
    for (const int status : {400, 401, 403, 404}) {
        registry->redirect_blobs(*storage, fmt::format("?sig={}", status));
        ASSERT_TRUE(fetch_some());
        const auto before = registry->requests().size();
        storage->script("/storage/", Fault{.status = status});
        ASSERT_TRUE(fetch_some()) << status;
        EXPECT_EQ(registry->requests().size(), before + 1) << status;
        storage->script("/storage/", Fault{.status = status}, 2);
        ASSERT_FALSE(fetch_some()) << status;
        EXPECT_EQ(registry->requests().size(), before + 2) << status;
    }
}

TEST_F(AuthAndRedirects, ErrorsTellNoSecretsOfTheAddress)
{
    registry->redirect_blobs(*storage, "?X-Amz-Signature=hush");
    storage->script("/storage/", Fault{.content_range = ""});
    const auto outcome = fetch_some();
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().text(), HasSubstr(storage->host()));
    EXPECT_THAT(outcome.error().text(), Not(HasSubstr("hush")));
}

TEST_F(AuthAndRedirects, RedirectsInCirclesEnd)
{
    const auto here = fmt::format("Location: /v2/team/app/blobs/{}", blob.digest.to_string());
    registry->script("/blobs/", Fault{.status = 302, .headers = {here}}, FakeRegistry::kForever);
    const auto outcome = fetch_some();
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().text(), HasSubstr("too many redirects"));
    EXPECT_EQ(registry->requests().size(), 6U);
}

TEST_F(AuthAndRedirects, ACircleIsNotRemembered)
{
    const auto there = fmt::format("Location: /v2/other/app/blobs/{}", blob.digest.to_string());
    registry->script("/team/app/blobs/", Fault{.status = 302, .headers = {there}});
    registry->script("/other/app/blobs/", Fault{.status = 302, .headers = {there}}, FakeRegistry::kForever);
    ASSERT_FALSE(fetch_some());
    EXPECT_TRUE(fetch_some()) << "the registry itself is asked again, and has the blob by now";
}

TEST_F(AuthAndRedirects, ARememberedPlaceThatLeadsInCirclesIsAskedForAnew)
{
    const auto there = fmt::format("Location: /v2/other/app/blobs/{}", blob.digest.to_string());
    registry->script("/team/app/blobs/", Fault{.status = 302, .headers = {there}});
    ASSERT_TRUE(fetch_some());
    registry->script("/other/app/blobs/", Fault{.status = 302, .headers = {there}}, FakeRegistry::kForever);
    EXPECT_TRUE(fetch_some());
}

TEST_F(AuthAndRedirects, ARedirectWithinTheRegistryKeepsTheAuthorization)
{
    registry->require_basic("alice", "secret");
    write_credentials("alice", "secret");
    ASSERT_TRUE(fetch_some());
    const auto there = fmt::format("Location: /v2/other/app/blobs/{}", blob.digest.to_string());
    registry->script("/blobs/", Fault{.status = 307, .headers = {there}});
    ASSERT_TRUE(fetch_some());
    EXPECT_THAT(registry->requests().back().header("authorization"), HasSubstr("Basic "));
}

TEST_F(AuthAndRedirects, SmallRequestsFollowTooAndDropTheAuthorization)
{
    registry->require_basic("alice", "secret");
    write_credentials("alice", "secret");
    registry->redirect_blobs(*storage, "?sig=1");
    const auto bytes = test::run_task(*loop, images().fetch_small_blob(blob, 1'000'000, deadline()));
    ASSERT_TRUE(bytes && *bytes);
    EXPECT_TRUE(**bytes == content);
    EXPECT_EQ(storage->requests().at(0).header("authorization"), "");
}

} // namespace
} // namespace sluice::fetcher
