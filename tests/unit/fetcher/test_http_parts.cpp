// SPDX-License-Identifier: Apache-2.0
//
// The small pure pieces of HTTP: challenges, Content-Range, URLs, statuses, Retry-After, signed addresses.
#include "fetcher/auth_challenge.hpp"
#include "fetcher/content_range.hpp"
#include "fetcher/http_status.hpp"
#include "fetcher/redirects.hpp"
#include "fetcher/url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace sluice::fetcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(AuthChallenge, AllSchemesOfAllFieldsAreFound)
{
    using List = std::vector<AuthChallenge>;

    const struct {
        std::vector<std::string> fields;
        List expected;
    } kCases[] = {
        {{}, {}},
        {{""}, {}},
        {{"Basic realm=\"x\""}, {{"basic", {{"realm", "x"}}}}},
        {{"BASIC"}, {{"basic", {}}}},
        {{R"(Bearer realm="https://a/t",service="s",scope="repository:a:pull,push")"},
         {{"bearer", {{"realm", "https://a/t"}, {"service", "s"}, {"scope", "repository:a:pull,push"}}}}},
        {{R"(Basic realm="a, b=c", Bearer realm=x , service = y)"},
         {{"basic", {{"realm", "a, b=c"}}}, {"bearer", {{"realm", "x"}, {"service", "y"}}}}},
        {{"Negotiate, Basic realm=x"}, {{"negotiate", {}}, {"basic", {{"realm", "x"}}}}},
        {{"Basic realm=x", R"(Bearer realm="y")"}, {{"basic", {{"realm", "x"}}}, {"bearer", {{"realm", "y"}}}}},
        {{R"(Bearer realm="quo\"ted\\")"}, {{"bearer", {{"realm", "quo\"ted\\"}}}}},
        {{R"(Bearer realm="a",realm="b")"}, {{"bearer", {{"realm", "a"}}}}},
        {{R"(Bearer REALM="a")"}, {{"bearer", {{"realm", "a"}}}}},
        {{",,, Basic ,realm=x,,"}, {{"basic", {{"realm", "x"}}}}},
        {{R"(Bearer realm="never ends)"}, {{"bearer", {}}}},
        {{"realm=orphan"}, {}},
        {{"Basic realm=\"a\" stray, Bearer realm=b"}, {{"basic", {{"realm", "a"}}}, {"bearer", {{"realm", "b"}}}}},
        {{"\x01\x02, Basic realm=x"}, {{"basic", {{"realm", "x"}}}}},
    };

    for (const auto& test : kCases) {
        EXPECT_EQ(parse_challenges(test.fields), test.expected) << (test.fields.empty() ? "" : test.fields[0]);
    }
}

TEST(ContentRange, OnlyTheExactFormIsTaken)
{
    EXPECT_EQ(parse_content_range("bytes 0-0/1"), (ContentRange{{0, 1}, 1}));
    EXPECT_EQ(parse_content_range("Bytes 4096-8191/10000"), (ContentRange{{4096, 8192}, 10'000}));
    for (const auto* text : {
             "",
             "bytes",
             "bytes ",
             "bytes 0-0",
             "bytes 0-0/",
             "bytes 0-0/*",
             "bytes */10",
             "bytes 5-4/10",
             "bytes 0-10/10",
             "bytes=0-0/1",
             "bytes0-0/1",
             "items 0-0/1",
             "bytes -1-0/1",
             "bytes 0-0/1 x",
             "bytes 0/0-1",
             "bytes 0-18446744073709551616/1",
             "bytes 18446744073709551615-18446744073709551615/18446744073709551615",
         }) {
        EXPECT_FALSE(parse_content_range(text)) << text;
    }
}

TEST(Url, OriginsAreSchemeHostAndPort)
{
    EXPECT_EQ(origin_of("https://A.example/x")->port, "443");
    EXPECT_EQ(*origin_of("https://A.example/x"), *origin_of("https://a.example:443/y?z"));
    EXPECT_NE(*origin_of("http://a.example/"), *origin_of("https://a.example/"));
    EXPECT_NE(*origin_of("https://a.example/"), *origin_of("https://a.example:8443/"));
    EXPECT_NE(*origin_of("https://a.example/"), *origin_of("https://a.example.evil/"));
    EXPECT_EQ(*origin_of("https://a.example@evil.example/"), *origin_of("https://evil.example/"));
    EXPECT_FALSE(origin_of("ftp://a.example/"));
    EXPECT_FALSE(origin_of("file:///etc/passwd"));
    EXPECT_FALSE(origin_of(""));
}

TEST(Url, LocationsAreResolved)
{
    const struct {
        const char* base;
        const char* location;
        const char* expected;
    } kCases[] = {
        {"http://a:5000/v2/x/blobs/uploads/",
         "/v2/x/blobs/uploads/1?_state=s",
         "http://a:5000/v2/x/blobs/uploads/1?_state=s"},
        {"http://a/v2/x/", "https://b/y", "https://b/y"},
        {"https://a/v2/x/?q=1", "y", "https://a/v2/x/y"},
        {"https://a/v2/x", "//b/y", "https://b/y"},
        {"https://a/v2/x/", "../y", "https://a/v2/y"},
    };

    for (const auto& test : kCases) {
        const auto next = resolve_location(test.base, test.location);
        ASSERT_TRUE(next) << test.location << ": " << next.error().text();
        EXPECT_EQ(*next, test.expected);
    }
    EXPECT_EQ(resolve_location("https://a/x", "http://a/x").error().kind(), ErrorKind::kDenied);
    EXPECT_EQ(resolve_location("https://a/x", "file:///etc/passwd").error().kind(), ErrorKind::kInvalid);
    EXPECT_EQ(resolve_location("https://a/x", "").error().kind(), ErrorKind::kInvalid);
}

TEST(Url, WhatIsShownHoldsNoSecrets)
{
    EXPECT_EQ(public_url("https://user:pass@a/x?sig=hush#frag"), "https://a/x");
    EXPECT_THAT(public_url("not a url?sig=hush"), Not(HasSubstr("hush")));
}

TEST(Url, QueriesAreWrittenAndRead)
{
    const auto url = with_query("http://a/x?y=1", {{"digest", "sha256:ab"}, {"s", "a b&c"}});
    EXPECT_EQ(url, "http://a/x?y=1&digest=sha256%3Aab&s=a%20b%26c");
    EXPECT_EQ(query_field(url, "s"), "a b&c");
    EXPECT_EQ(query_field(url, "y"), "1");
    EXPECT_EQ(query_field(url, "none"), "");
    EXPECT_EQ(with_query("http://a/x", {{"a", "b"}}), "http://a/x?a=b");
}

TEST(HttpStatus, KindsDecideWhatIsTriedAgain)
{
    const std::pair<int, ErrorKind> kCases[] = {
        {400, ErrorKind::kInvalid},
        {401, ErrorKind::kDenied},
        {403, ErrorKind::kDenied},
        {404, ErrorKind::kNotFound},
        {405, ErrorKind::kUnsupported},
        {408, ErrorKind::kTransient},
        {410, ErrorKind::kNotFound},
        {416, ErrorKind::kCorrupt},
        {429, ErrorKind::kTransient},
        {500, ErrorKind::kTransient},
        {501, ErrorKind::kUnsupported},
        {503, ErrorKind::kTransient},
        {599, ErrorKind::kTransient},
    };
    for (const auto& [status, kind] : kCases) {
        EXPECT_EQ(kind_of_status(status), kind) << status;
    }
    EXPECT_EQ(
        status_error(404, R"({"errors":[{"code":"X","message":"gone\u0007"}]})", "blob").text(),
        "blob: 404 Not Found: gone\\x07"
    );
    EXPECT_EQ(status_error(503, "<html>", "blob").text(), "blob: 503 Service Unavailable");
}

TEST(RetryAfter, IsSecondsOrADate)
{
    constexpr std::time_t kNow = 784'111'777; // Sun, 06 Nov 1994 08:49:37 GMT
    EXPECT_EQ(parse_retry_after("120", kNow), milliseconds{120'000});
    EXPECT_EQ(parse_retry_after("99999999999", kNow), milliseconds{86'400'000});
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", kNow), milliseconds{30'000});
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", kNow), milliseconds{0});
    for (const auto* text : {"", "soon", "-1", "1.5.x"}) {
        EXPECT_FALSE(parse_retry_after(text, kNow)) << text;
    }
}

TEST(SignedUrl, LivesAsLongAsItSaysLessATenth)
{
    const auto now = WallClock::from_time_t(1'767'323'045); // 2026-01-02T03:04:05Z

    const struct {
        const char* url;
        long seconds; // of use left
    } kCases[] = {
        {"https://s3/x?X-Amz-Date=20260102T030405Z&X-Amz-Expires=1000&X-Amz-Signature=y", 900},
        {"https://s3/x?X-Amz-Date=20260102T025405Z&X-Amz-Expires=1000", 360},
        {"https://s3/x?X-Amz-Date=20260102T020405Z&X-Amz-Expires=1000", 0},
        {"https://gcs/x?X-Goog-Date=20260102T030405Z&X-Goog-Expires=100", 90},
        {"https://azure/x?se=2026-01-02T03%3A14%3A05Z&sig=y", 540},
        {"https://cf/x?Expires=1767323145&Signature=y", 90},
        {"https://other/x?token=y", 300},
        {"https://other/x", 300},
        {"https://s3/x?X-Amz-Date=yesterday&X-Amz-Expires=1000", 300},
    };

    for (const auto& test : kCases) {
        EXPECT_EQ(signed_url_lifetime(test.url, now), milliseconds{test.seconds * 1000}) << test.url;
    }
}

TEST(RedirectCache, ForgetsWhatIsOverOrDropped)
{
    const TimePoint start{};
    RedirectCache cache;
    cache.put("blob", {"url", Network::kPrivate}, milliseconds{100}, start);
    const auto kept = cache.find("blob", start + milliseconds{99});
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->url, "url");
    EXPECT_EQ(kept->home, Network::kPrivate);
    EXPECT_FALSE(cache.find("blob", start + milliseconds{100}));
    cache.drop("blob", "another");
    EXPECT_TRUE(cache.find("blob", start));
    cache.drop("blob", "url");
    EXPECT_FALSE(cache.find("blob", start));
}

TEST(HttpHeaders, OnlyTheFinalResponsesFieldsStay)
{
    HttpHeaders headers;
    for (const auto* line :
         {"HTTP/1.1 100 Continue\r\n", "X: 1\r\n", "\r\n", "HTTP/1.1 200 OK\r\n", "A:  b \r\n", "a: c\r\n", "\r\n"}) {
        headers.add_line(line);
    }
    EXPECT_EQ(headers.find("x"), nullptr);
    EXPECT_EQ(*headers.find("A"), "b");
    EXPECT_THAT(headers.all("a"), ElementsAre("b", "c"));
    EXPECT_THAT(headers.all("none"), IsEmpty());
}

} // namespace
} // namespace sluice::fetcher
