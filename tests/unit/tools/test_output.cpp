// SPDX-License-Identifier: Apache-2.0
#include "tools/blob_watch.hpp"
#include "tools/control_api.hpp"
#include "tools/exit_status.hpp"
#include "tools/prefetch_command.hpp"
#include "tools/progress.hpp"
#include "tools/text_table.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::tools {

TEST(TextTable, AlignsItsColumns)
{
    TextTable table{{{"NAME"}, {"SIZE", TextTable::Align::kRight}, {"NOTE"}}};
    table.add({"a", "1.5 GiB", "x"});
    table.add({"longer", "17 B", ""});
    EXPECT_EQ(
        table.render(),
        "NAME       SIZE  NOTE\n"
        "a       1.5 GiB  x\n"
        "longer     17 B\n"
    );
}

TEST(Progress, ShowsTheShareThatIsThere)
{
    const auto half = render_progress("fetching", 50, 100, 200);
    EXPECT_NE(half.find("fetching [###############...............]  50%"), std::string::npos) << half;
    EXPECT_EQ(render_progress("packing", 0, 0, 200), "packing ...");
    EXPECT_NE(render_progress("x", 7, 5, 200).find("100%"), std::string::npos);
    EXPECT_EQ(render_progress("fetching", 50, 100, 10).size(), 10U);
}

TEST(Progress, IsSilentWhereThereIsNoTerminal)
{
    int ends[2] = {-1, -1};
    ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
    {
        ProgressLine line{ends[1]};
        EXPECT_FALSE(line.on_terminal());
        line.show("x", 1, 2);
    }
    char c = 0;
    EXPECT_EQ(::read(ends[0], &c, 1), -1);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST(Prefetch, TellsTheRateAndTheTimeLeft)
{
    using Seconds = std::chrono::duration<double>;
    EXPECT_EQ(describe_rate(0, 4096, Seconds{1}), "0 B/s");
    EXPECT_EQ(describe_rate(2048, 2048 * 65, Seconds{1}), "2.0 KiB/s 1:05");
    EXPECT_EQ(describe_rate(1024, 1024 * 3665, Seconds{1}), "1.0 KiB/s 1:01:05");
    EXPECT_EQ(describe_rate(1024, 0, Seconds{0}), "1000.0 KiB/s 0:00") << "too soon to tell";
}

TEST(Prefetch, CountsTheBlobsOfTheImageAlone)
{
    const Json image{{"layers", {{{"fsid", "aa"}, {"devices", {"bb", 7}}}, {{"fsid", "cc"}}}}};
    const auto cookies = cookies_of(image);
    EXPECT_EQ(cookies, (std::vector<std::string>{"aa", "bb", "cc"}));
    const Json blobs{
        {"blobs",
         {{{"cookie", "aa"}, {"present", 1}, {"erofs_size", 4}},
          {{"cookie", "cc"}, {"present", nullptr}, {"erofs_size", 8}},
          {{"cookie", "other"}, {"present", 64}, {"erofs_size", 64}}}}};
    const auto share = share_of(blobs, cookies);
    EXPECT_EQ(share.done, 1U);
    EXPECT_EQ(share.total, 12U);
}

TEST(ControlAnswer, GivesTheDocumentOrTheDaemonsOwnWords)
{
    const auto good = parse_control_answer(200, R"({"a":1})");
    ASSERT_TRUE(good);
    EXPECT_EQ((*good)["a"], 1);
    EXPECT_TRUE(parse_control_answer(204, ""));

    const auto denied = parse_control_answer(403, R"({"error":{"kind":"denied","message":"no trusted key"}})");
    ASSERT_FALSE(denied);
    EXPECT_EQ(denied.error().kind(), ErrorKind::kDenied);
    EXPECT_EQ(denied.error().text(), "no trusted key");

    const auto strange = parse_control_answer(500, "oh\nno");
    ASSERT_FALSE(strange);
    EXPECT_NE(strange.error().text().find("500"), std::string::npos);
    EXPECT_FALSE(parse_control_answer(200, "{"));
}

TEST(ControlAnswer, ReferencesGoIntoQueries)
{
    EXPECT_EQ(percent_encode("r.example:5000/a_b/c:1.0@sha256:0f"), "r.example%3A5000%2Fa_b%2Fc%3A1.0%40sha256%3A0f");
    EXPECT_EQ(percent_encode("\xc3\xa4 &"), "%C3%A4%20%26");
}

TEST(ControlAnswer, FindsRowsInEitherForm)
{
    EXPECT_EQ(json_rows(Json::array({1, 2}), "blobs").size(), 2U);
    EXPECT_EQ(json_rows(Json{{"blobs", {1}}}, "blobs").size(), 1U);
    EXPECT_EQ(json_rows(Json{{"blobs", 7}}, "blobs").size(), 0U);
    EXPECT_EQ(json_rows(Json{}, "blobs").size(), 0U);
}

TEST(ExitStatus, TellsWhatIsRefusedFromWhatMayWorkLater)
{
    EXPECT_EQ(exit_status(ErrorKind::kDenied), 3);
    EXPECT_EQ(exit_status(ErrorKind::kTransient), 4);
    EXPECT_EQ(exit_status(ErrorKind::kTimeout), 4);
    for (const auto kind : {ErrorKind::kNotFound, ErrorKind::kCorrupt, ErrorKind::kInvalid, ErrorKind::kCancelled}) {
        EXPECT_EQ(exit_status(kind), 1);
    }
}

} // namespace sluice::tools
