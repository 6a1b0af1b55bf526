// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.hpp"
#include "tools/blob_watch.hpp"
#include "tools/interruption.hpp"
#include "tools/listing.hpp"
#include "tools/mount_command.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <gtest/gtest.h>
#include <map>
#include <utility>
#include <vector>

namespace sluice::tools {

namespace {

/// A daemon that has its answers ready.
class ScriptedDaemon final : public ControlApi {
public:
    std::map<std::string, Json> answers; ///< by "METHOD path"
    std::vector<std::string> asked;
    Json last_body;

    Result<Json> call(const std::string& method, const std::string& path, const Json& body, const OnBlobs&) override
    {
        asked.push_back(method + " " + path);
        last_body = body;
        const auto found = answers.find(asked.back());
        if (found == answers.end()) {
            return fail(ErrorKind::kDenied, "no signature by a trusted key");
        }
        return found->second;
    }
};

class NoMounter final : public LayerMounter {
public:
    Result<UniqueFd> mount(const LayerSpec&) override { return fail(ErrorKind::kInternal, "not here"); }
};

Json blob(const std::string& digest, Json present)
{
    return Json{{"digest", "sha256:" + digest}, {"erofs_size", 100U}, {"present", std::move(present)}};
}

Json blobs(Json rows)
{
    return Json{{"blobs", std::move(rows)}};
}

} // namespace

TEST(MountCommand, ShowsTheDaemonsRefusalAsItIs)
{
    ScriptedDaemon daemon;
    NoMounter mounter;
    const auto outcome = run_mount(daemon, mounter, MountRequest{"r/a:1", std::string{"/m"}, {}});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().text(), "no signature by a trusted key");
    EXPECT_FALSE(daemon.last_body.contains("lazy_only"));
}

TEST(MountCommand, AFakeMountStopsBeforeAnythingIsMounted)
{
    ScriptedDaemon daemon;
    daemon.answers["POST /v1/images"] = Json{
        {"reference", "r/a:1"},
        {"layers_dir", "/run/elsewhere"},
        {"layers", Json::array({Json{{"digest", "sha256:a"}, {"fsid", "a"}, {"mount_name", "a"}}})},
    };
    NoMounter mounter;
    MountRequest request{"r/a:1", std::string{"/m"}, {}};
    request.options.lazy_only = true;
    request.options.refresh = true;
    request.fake = true;
    const auto outcome = run_mount(daemon, mounter, request);
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(outcome->layers_dir, "/run/elsewhere");
    EXPECT_EQ(daemon.last_body, (Json{{"reference", "r/a:1"}, {"lazy_only", true}, {"refresh", true}}));
    EXPECT_EQ(daemon.asked, std::vector<std::string>{"POST /v1/images"});
}

TEST(MountCommand, FindsTheLayersDirectoryWithoutTheDaemonToo)
{
    ScriptedDaemon daemon;
    EXPECT_EQ(find_layers_dir(daemon, "/given"), "/given");
    EXPECT_TRUE(daemon.asked.empty());
    EXPECT_EQ(find_layers_dir(daemon, ""), "/run/sluice/layers");
    daemon.answers["GET /v1/status"] = Json{{"layers_dir", "/run/other"}};
    EXPECT_EQ(find_layers_dir(daemon, ""), "/run/other");
    daemon.answers["GET /v1/status"] = Json{{"layers_dir", "relative"}};
    EXPECT_EQ(find_layers_dir(daemon, ""), "/run/sluice/layers");
}

TEST(BlobGrowth, CountsOnlyWhatGrows)
{
    BlobGrowth growth;
    EXPECT_FALSE(growth.update(blobs({blob("a", 10U), blob("b", nullptr)})));
    EXPECT_FALSE(growth.update(blobs({blob("a", 10U), blob("b", 0U)})));
    auto share = growth.update(blobs({blob("a", 10U), blob("b", 40U)}));
    ASSERT_TRUE(share);
    EXPECT_EQ(share->done, 40U);
    EXPECT_EQ(share->total, 100U);
    share = growth.update(blobs({blob("a", 60U), blob("b", 100U), blob("c", 5U)}));
    ASSERT_TRUE(share);
    EXPECT_EQ(share->done, 160U);
    EXPECT_EQ(share->total, 200U);
}

TEST(WaitNotice, IsToldOnceAndNotBeforeTwoSeconds)
{
    const TimePoint begin{};
    const std::chrono::milliseconds almost{1999};
    const std::chrono::seconds two{2};
    WaitNotice notice{"registry.test/app:1", begin};
    EXPECT_FALSE(notice.update(std::nullopt, begin));
    EXPECT_FALSE(notice.update(std::nullopt, begin + almost));
    const auto text = notice.update(std::nullopt, begin + two);
    ASSERT_TRUE(text);
    EXPECT_NE(text->find("registry.test/app:1 and its signature"), std::string::npos) << *text;
    EXPECT_FALSE(notice.update(std::nullopt, begin + 2 * two));
}

TEST(WaitNotice, ADownloadIsToldAsOne)
{
    const std::chrono::seconds two{2};
    WaitNotice notice{"registry.test/app:1", TimePoint{}};
    const auto text = notice.update(Share{1024, 4096}, TimePoint{} + two);
    ASSERT_TRUE(text);
    EXPECT_NE(text->find("1.0 KiB of 4.0 KiB"), std::string::npos) << *text;
}

TEST(Interruption, EndsTheProcessByItsSignal)
{
    EXPECT_EXIT((void)end_by_signal(SIGINT), testing::KilledBySignal(SIGINT), "");
    const auto as_publish_has_it = [] { // caught by a SignalSource, so it is blocked
        EventLoop loop;
        const SignalSource caught{loop, SIGTERM, [] {}};
        (void)end_by_signal(SIGTERM);
    };
    EXPECT_EXIT(as_publish_has_it(), testing::KilledBySignal(SIGTERM), "");
}

TEST(BlobGrowth, FindsBlobsByCookieOrDigest)
{
    auto failed = blob("b", 0U);
    failed["last_error"] = {{"kind", "transient"}, {"message", "registry.example: 503"}};
    const auto all = blobs({blob("a", 0U), failed});
    EXPECT_EQ(find_blob(all, "c"), nullptr);
    ASSERT_NE(find_blob(all, "b"), nullptr);
    EXPECT_EQ(last_error_of(*find_blob(all, "sha256:b")), "registry.example: 503");
    EXPECT_EQ(last_error_of(*find_blob(all, "a")), "");
}

TEST(Listing, ShowsBlobsWithTheirShare)
{
    auto open = blob("0123456789abcdef", 50U);
    open["percent"] = 50.0;
    open["open"] = true;
    auto unknown = blob("f", nullptr);
    unknown["last_error"] = "out\nof luck";
    const auto text = format_blobs(blobs({open, unknown}));
    EXPECT_NE(text.find("sha256:0123456789ab  100 B     50 B  50.0%  open"), std::string::npos) << text;
    EXPECT_EQ(text.find("abcdef"), std::string::npos);
    EXPECT_NE(text.find("-      -  closed  out"), std::string::npos) << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
}

TEST(Listing, ShowsImagesAndWhoSignedThem)
{
    const Json image{
        {"reference", "r/a:1"},
        {"manifest_digest", "sha256:0123456789abcdef"},
        {"signed_by", {{"id", "sha256:9f86"}, {"name", "vendor.pem"}}},
        {"layers", Json::array({blob("a", 0U), blob("b", 0U)})},
    };
    const auto text = format_images(Json{{"images", Json::array({image})}});
    EXPECT_NE(text.find("r/a:1      sha256:0123456789ab       2  200 B  vendor.pem"), std::string::npos) << text;
}

TEST(Listing, ShowsAnyStatus)
{
    const Json status{
        {"front_end", {{"name", "cachefiles"}, {"why", "it\tis there"}}},
        {"counters", {{"bytes_fetched", 2048U}, {"reads", 7U}}},
        {"trusted_keys", Json::array({Json{{"name", "vendor.pem"}}})},
        {"uptime_seconds", 3671U},
        {"index_digest", nullptr},
        {"restore", true},
    };
    EXPECT_EQ(
        format_status(status),
        "counters:\n  bytes fetched: 2.0 KiB\n  reads: 7\n"
        "front end:\n  name: cachefiles\n  why: it\\x09is there\n"
        "index digest: -\nrestore: yes\n"
        "trusted keys:\n  name vendor.pem\n"
        "uptime: 1:01:11\n"
    );
}

TEST(Listing, LimitsOfFreeSpaceHaveTheirUnit)
{
    const Json status{{"cache", {{"limits", {{"bstop", 1U}, {"frun", 7U}}}, {"low_space", true}}}};
    EXPECT_EQ(format_status(status), "cache:\n  limits:\n    bstop: 1 %\n    frun: 7 %\n  low space: yes\n");
}

} // namespace sluice::tools
