// SPDX-License-Identifier: Apache-2.0
//
// A registry sends us elsewhere, and elsewhere asks who we are.
#include "tests/unit/fetcher/fetch_fixture.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace sluice::fetcher {
namespace {

using test::FakeRegistry;
using test::Fault;
using ::testing::HasSubstr;
using ::testing::Not;

class ForeignChallenges : public FetchTest {
protected:
    void SetUp() override
    {
        FetchTest::SetUp();
        blob = add_blob(content);
        const auto plain = std::string{"alice:secret"};
        options.credentials_file = directory.write(
            "config.json",
            fmt::format(R"({{"auths":{{"{}":{{"auth":"{}"}}}}}})", registry->host(), encode_base64(as_byte_span(plain)))
        );
        registry->require_bearer("alice", "secret");
        storage->require_bearer();
    }

    /// The registry sends all requests for `what` to the same path at the other server.
    void lead_astray(const std::string& what, const std::string& path)
    {
        const auto there = fmt::format("Location: http://{}{}", storage->host(), path);
        registry->script(what, Fault{.status = 307, .headers = {there}}, FakeRegistry::kForever);
    }

    /// The other server was asked, and learned nothing about us.
    void expect_nothing_told() const
    {
        EXPECT_GT(storage->requests().size(), 0U) << "nobody was led astray";
        EXPECT_EQ(storage->count_requests("/token"), 0U) << "it was taken for a token server";
        for (const auto& request : storage->requests()) {
            EXPECT_EQ(request.header("authorization"), "") << request.method << ' ' << request.path;
            EXPECT_THAT(request.body, Not(HasSubstr("secret")));
        }
    }

    void expect_denied(const Error& error) const
    {
        EXPECT_EQ(error.kind(), ErrorKind::kDenied) << error.text();
        EXPECT_THAT(error.text(), HasSubstr("401"));
    }

    [[nodiscard]] std::string blob_path() const { return "/v2/team/app/blobs/" + blob.digest.to_string(); }

    std::string content = pattern(100'000);
    BlobLocation blob;
    test::TempDir directory;
};

TEST_F(ForeignChallenges, AManifestsRedirectTargetIsToldNothing)
{
    for (const bool basic : {false, true}) {
        if (basic) {
            storage->require_basic("any", "body");
        }
        lead_astray("/manifests/", "/v2/team/app/manifests/v1");
        const auto raw = test::run_task(*loop, images().fetch_manifest(repository(), "v1", deadline()));
        ASSERT_TRUE(raw && !*raw);
        expect_denied(raw->error());
        EXPECT_THAT(raw->error().text(), HasSubstr(storage->host()));
        expect_nothing_told();
    }
}

TEST_F(ForeignChallenges, ABlobsRedirectTargetIsToldNothing)
{
    lead_astray("/blobs/", blob_path());
    CollectingSink sink{0};
    const auto outcome = fetch(blob, {0, 8192}, sink);
    ASSERT_FALSE(outcome);
    expect_denied(outcome.error());
    expect_nothing_told();
}

TEST_F(ForeignChallenges, ASmallBlobsRedirectTargetIsToldNothing)
{
    lead_astray("/blobs/", blob_path());
    const auto bytes = test::run_task(*loop, images().fetch_small_blob(blob, 1'000'000, deadline()));
    ASSERT_TRUE(bytes && !*bytes);
    expect_denied(bytes->error());
    expect_nothing_told();
}

TEST_F(ForeignChallenges, WhereAnUploadIsSentIsToldNothing)
{
    const auto there = fmt::format("Location: http://{}/v2/team/app/blobs/uploads/one?_state=started", storage->host());
    registry->script("/blobs/uploads/", Fault{.status = 202, .headers = {there}});
    const std::string bytes = "some bytes";
    const auto pushed = test::run_task(
        *loop, target().push_blob_bytes(repository(), bytes, fake_sha256(as_byte_span(bytes)), deadline())
    );
    ASSERT_TRUE(pushed && !*pushed);
    expect_denied(pushed->error());
    expect_nothing_told();
}

TEST_F(ForeignChallenges, WhoIsAskedForABlobsPresenceIsToldNothing)
{
    lead_astray("/blobs/", blob_path());
    const auto there = test::run_task(*loop, target().blob_exists(repository(), blob.digest, deadline()));
    ASSERT_TRUE(there && !*there);
    expect_denied(there->error());
    expect_nothing_told();
}

TEST_F(ForeignChallenges, TheRegistryIsKnownAsBeforeAfterwards)
{
    lead_astray("/manifests/", "/v2/team/app/manifests/v1");
    ASSERT_FALSE(*test::run_task(*loop, images().fetch_manifest(repository(), "v1", deadline())));
    registry->clear_scripts();
    CollectingSink sink{0};
    const auto outcome = fetch(blob, {0, 8192}, sink);
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(registry->count_requests("/token"), 2U); // POST, which it does not know, and GET
    expect_nothing_told();
}

} // namespace
} // namespace sluice::fetcher
