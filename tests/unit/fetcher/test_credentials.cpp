// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "fetcher/credential_helper.hpp"
#include "fetcher/credentials.hpp"
#include "fetcher/token_cache.hpp"
#include "fetcher/token_request.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <string>
#include <sys/stat.h>

namespace sluice::fetcher {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CredentialLookup look_up(const std::string& json, const std::string& repository)
{
    const auto file = CredentialFile::parse(json, "config.json");
    EXPECT_TRUE(file) << file.error().text();
    return file->find(*Repository::parse(repository));
}

std::string auth(std::string_view plain)
{
    return fmt::format(R"({{"auth":"{}"}})", encode_base64(as_byte_span(plain)));
}

TEST(Credentials, AreFoundByAllFormsOfKeys)
{
    const struct {
        const char* key;
        const char* repository;
        bool found;
    } kCases[] = {
        {"quay.io", "quay.io/a", true},
        {"https://quay.io", "quay.io/a", true},
        {"https://quay.io/v1/", "quay.io/a", true},
        {"http://quay.io/v2/", "quay.io/a", true},
        {"quay.io:5000", "quay.io:5000/a", true},
        {"quay.io:5000", "quay.io/a", false},
        {"quay.io", "quay.io.evil/a", false},
        {"https://index.docker.io/v1/", "docker.io/library/a", true},
        {"index.docker.io", "docker.io/library/a", true},
        {"docker.io", "docker.io/library/a", true},
        {"quay.io/team", "quay.io/team/a", true},
        {"quay.io/team/a", "quay.io/team/a", true},
        {"quay.io/team", "quay.io/teams/a", false},
        {"quay.io/other", "quay.io/team/a", false},
    };

    for (const auto& test : kCases) {
        const auto json = fmt::format(R"({{"auths":{{"{}":{}}}}})", test.key, auth("u:p"));
        EXPECT_EQ(look_up(json, test.repository).credential.username, test.found ? "u" : "")
            << test.key << ' ' << test.repository;
    }
}

TEST(Credentials, TheLongestPathWins)
{
    const auto json = fmt::format(
        R"({{"auths":{{"quay.io":{},"quay.io/team":{},"quay.io/team/app":{}}}}})", auth("h:1"), auth("t:2"), auth("a:3")
    );
    EXPECT_EQ(look_up(json, "quay.io/team/app").credential.username, "a");
    EXPECT_EQ(look_up(json, "quay.io/team/else").credential.username, "t");
    EXPECT_EQ(look_up(json, "quay.io/else").credential.username, "h");
}

TEST(Credentials, EntriesComeInManyShapes)
{
    const auto both = look_up(R"({"auths":{"q.io":{"username":"u","password":"p:q"}}})", "q.io/a").credential;
    EXPECT_EQ(both.username + '/' + both.password, "u/p:q");
    EXPECT_EQ(look_up(fmt::format(R"({{"auths":{{"q.io":{}}}}})", auth("u:p:q")), "q.io/a").credential.password, "p:q");
    EXPECT_EQ(look_up(R"({"auths":{"q.io":{"identitytoken":"t"}}})", "q.io/a").credential.identity_token, "t");
    EXPECT_EQ(look_up(R"({"auths":{"q.io":{"registrytoken":"t"}}})", "q.io/a").credential.registry_token, "t");
    EXPECT_TRUE(look_up(R"({"auths":{"q.io":{}}})", "q.io/a").credential.anonymous());
    EXPECT_TRUE(look_up("{}", "q.io/a").credential.anonymous());
}

TEST(Credentials, HelpersAreAskedForTheirHosts)
{
    const auto json = fmt::format(
        R"({{"auths":{{"own.io":{},"quay.io":{{}}}},"credHelpers":{{"gcr.io":"gcloud"}},"credsStore":"pass"}})",
        auth("u:p")
    );
    EXPECT_EQ(look_up(json, "gcr.io/a").helper, "gcloud");
    EXPECT_EQ(look_up(json, "gcr.io/a").helper_key, "gcr.io");
    EXPECT_EQ(look_up(json, "quay.io/a").helper, "pass");
    EXPECT_EQ(look_up(json, "docker.io/library/a").helper_key, "https://index.docker.io/v1/");
    EXPECT_EQ(look_up(json, "own.io/a").helper, "");
}

TEST(Credentials, ABrokenFileIsNamedAndNotQuoted)
{
    for (const auto* text : {
             "",
             "[]",
             "{\"auths\":",
             R"({"auths":{"q":{"auth":"!!secret"}}})",
             R"({"auths":{"q":{"auth":"bm9jb2xvbg=="}}})",
             R"({"credHelpers":{"q":7}})",
             R"({"credHelpers":{"q":"../evil"}})",
             R"({"credsStore":"a/b"})",
         }) {
        const auto file = CredentialFile::parse(text, "/etc/config.json");
        ASSERT_FALSE(file) << text;
        EXPECT_THAT(file.error().text(), HasSubstr("/etc/config.json")) << text;
        EXPECT_THAT(file.error().text(), Not(HasSubstr("secret"))) << text;
    }
}

TEST(Credentials, AMissingFileMeansNobody)
{
    const test::TempDir directory;
    EXPECT_TRUE(load_credentials(directory.path() / "none"));
    EXPECT_FALSE(load_credentials(directory.path())) << "a directory";
    const auto path = directory.write("c.json", fmt::format(R"({{"auths":{{"q.io":{}}}}})", auth("u:p")));
    EXPECT_EQ(load_credentials(path)->find({"q.io", "a"}).credential.username, "u");
    const auto fifo = (directory.path() / "fifo").string();
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_FALSE(load_credentials(fifo)) << "would be waited for";
    ASSERT_EQ(::chmod(std::string{path}.c_str(), 0600), 0);
    EXPECT_EQ(load_credentials(path)->advice(), "");
    ASSERT_EQ(::chmod(std::string{path}.c_str(), 0640), 0);
    EXPECT_NE(load_credentials(path)->advice().find("chmod 600"), std::string::npos);
}

/// Puts a directory of helpers first in PATH.
class CredentialHelper : public test::FdLeakTest {
protected:
    void SetUp() override
    {
        FdLeakTest::SetUp();
        old_path_ = ::getenv("PATH"); // NOLINT(concurrency-mt-unsafe): one thread
        ::setenv("PATH", (directory_.path().string() + ":" + old_path_).c_str(), 1);
    }

    void TearDown() override
    {
        ::setenv("PATH", old_path_.c_str(), 1);
        FdLeakTest::TearDown();
    }

    void write_helper(const std::string& script)
    {
        const auto path = directory_.write("docker-credential-test", "#!/bin/sh\n" + script);
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    }

    Result<Credential> ask(milliseconds patience = milliseconds{20'000})
    {
        EventLoop loop;
        auto asked = test::run_task(loop, ask_credential_helper(loop, "test", "quay.io", Deadline::after(patience)));
        return asked ? std::move(*asked) : fail(ErrorKind::kInternal, "did not end");
    }

private:
    test::TempDir directory_;
    std::string old_path_;
};

TEST_F(CredentialHelper, IsGivenTheServerAndPrintsTheSecret)
{
    write_helper(R"(read server; test "$1" = get || exit 3; echo "{\"Username\":\"$server\",\"Secret\":\"s\"}")");
    const auto credential = ask();
    ASSERT_TRUE(credential) << credential.error().text();
    EXPECT_EQ(credential->username, "quay.io");
    EXPECT_EQ(credential->password, "s");
}

TEST_F(CredentialHelper, MayHaveAnIdentityToken)
{
    write_helper(R"(echo '{"Username":"<token>","Secret":"t"}')");
    EXPECT_EQ(ask()->identity_token, "t");
}

TEST_F(CredentialHelper, ThatHasNothingMakesUsAnonymous)
{
    write_helper("echo 'credentials not found in native keychain'; exit 1");
    EXPECT_TRUE(ask()->anonymous());
}

TEST_F(CredentialHelper, ThatFailsIsNamed)
{
    write_helper("echo locked; exit 1");
    EXPECT_THAT(ask().error().text(), HasSubstr("docker-credential-test"));
    write_helper("echo nonsense");
    EXPECT_EQ(ask().error().kind(), ErrorKind::kInvalid);
    write_helper("kill -9 $$");
    EXPECT_EQ(ask().error().kind(), ErrorKind::kDenied);
}

TEST_F(CredentialHelper, ThatFailsIsNotQuoted)
{
    write_helper(R"(echo '{"Username":"u","Secret":"hunter2"}'; exit 3)");
    const auto failed = ask();
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().text(), AllOf(HasSubstr("exit status 3"), Not(HasSubstr("hunter2"))));
    write_helper("echo 'hunter2: no credentials server URL'; exit 1");
    EXPECT_THAT(ask().error().text(), AllOf(HasSubstr("(no credentials server URL)"), Not(HasSubstr("hunter2"))));
    write_helper("kill -9 $$");
    EXPECT_THAT(ask().error().text(), HasSubstr("ended by signal 9"));
}

TEST_F(CredentialHelper, ThatIsMissingIsNamed)
{
    const auto asked = ask();
    ASSERT_FALSE(asked);
    EXPECT_EQ(asked.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(asked.error().text(), HasSubstr("docker-credential-test: there is no such program"));
}

TEST_F(CredentialHelper, ThatHangsIsKilledAtTheDeadline)
{
    write_helper("exec sleep 1000");
    EXPECT_EQ(ask(milliseconds{50}).error().kind(), ErrorKind::kTimeout);
}

TEST(Token, IsReadFromTheServersAnswer)
{
    EXPECT_EQ(parse_token(R"({"token":"a","expires_in":300})")->lifetime, milliseconds{300'000});
    EXPECT_EQ(parse_token(R"({"access_token":"a"})")->value, "a");
    EXPECT_EQ(parse_token(R"({"token":"","access_token":"b"})")->value, "b");
    EXPECT_EQ(parse_token(R"({"token":"a","expires_in":0})")->lifetime, milliseconds{60'000});
    EXPECT_EQ(parse_token(R"({"token":"a","expires_in":99999999999999})")->lifetime, milliseconds{86'400'000});
    for (const auto* text :
         {"", "{}", "[]", R"({"token":7})", R"({"token":""})", R"({"token":"a\r\nX: y"})", R"({"token":"a b"})"}) {
        EXPECT_FALSE(parse_token(text)) << text;
    }
}

TEST(Token, ItsServerMayNotBeJustAnywhere)
{
    EXPECT_TRUE(check_realm("https://auth.docker.io/token", "https"));
    EXPECT_TRUE(check_realm("http://127.0.0.1:5000/token", "http"));
    EXPECT_TRUE(check_realm("https://auth.example/token", "http"));
    for (const auto* realm : {
             "http://auth.docker.io/token",
             "file:///etc/passwd",
             "",
         }) {
        EXPECT_FALSE(check_realm(realm, "https")) << realm;
    }
}

TEST(Token, IsUsedForMostOfItsLife)
{
    for (const std::uint32_t random : {0U, 1U << 31, ~0U}) {
        const auto usable = usable_lifetime(milliseconds{100'000}, random);
        EXPECT_LE(usable, milliseconds{80'000});
        EXPECT_GE(usable, milliseconds{70'000});
    }
    EXPECT_NE(usable_lifetime(milliseconds{100'000}, 0), usable_lifetime(milliseconds{100'000}, ~0U));
    EXPECT_EQ(usable_lifetime(milliseconds{0}, ~0U), milliseconds{0});
}

TEST(TokenCache, KeepsIdentitiesAndScopesApart)
{
    const TimePoint now{};
    const auto later = now + milliseconds{100};
    TokenCache cache;
    cache.put({"h", "alice", "s"}, "A", later, now);
    cache.put({"h", "", "s"}, "B", later, now);
    EXPECT_EQ(cache.find({"h", "alice", "s"}, now), "A");
    EXPECT_EQ(cache.find({"h", "", "s"}, now), "B");
    EXPECT_EQ(cache.find({"h", "alice", "t"}, now), "");
    EXPECT_EQ(cache.find({"h", "alice", "s"}, later), "");
    cache.drop({"h", "alice", "s"}, "old");
    EXPECT_EQ(cache.find({"h", "alice", "s"}, now), "A");
    cache.drop({"h", "alice", "s"}, "A");
    EXPECT_EQ(cache.find({"h", "alice", "s"}, now), "");
}

} // namespace
} // namespace sluice::fetcher
