// SPDX-License-Identifier: Apache-2.0
#include "fetcher/layout_files.hpp"
#include "tests/unit/fetcher/fetch_fixture.hpp"

#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::fetcher {
namespace {

using ::testing::HasSubstr;

class LayoutTest : public FetchTest {
protected:
    template <typename T>
    T run(Task<T> task)
    {
        auto value = test::run_task(*loop, std::move(task));
        EXPECT_TRUE(value.has_value());
        return std::move(*value);
    }

    [[nodiscard]] std::string layout() const { return "oci:" + (directory.path() / "image").string(); }

    [[nodiscard]] std::string file(const std::string& name) const
    {
        std::ostringstream text;
        text << std::ifstream{directory.path() / "image" / name, std::ios::binary}.rdbuf();
        return text.str();
    }

    BlobLocation push(const std::string& content)
    {
        const auto digest = fake_sha256(as_byte_span(content));
        const auto path = directory.write("source", content);
        const UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        std::uint64_t told = 0;
        const auto outcome = run(target(layout()).push_blob(
            layout(), fd.get(), digest, content.size(), [&](std::uint64_t sent) { told = sent; }, deadline()
        ));
        EXPECT_TRUE(outcome) << outcome.error().text();
        EXPECT_EQ(told, content.size());
        return {layout(), digest, content.size()};
    }

    Digest put(const std::string& tag, const std::string& name)
    {
        const auto config = fake_sha256(as_byte_span(name)).to_string();
        const auto text = fmt::format(
            R"({{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{}","size":1}},"layers":[]}})", config
        );
        const auto outcome =
            run(target(layout()).put_manifest(layout(), tag, std::string{media_type::kOciManifest}, text, deadline()));
        EXPECT_TRUE(outcome) << outcome.error().text();
        return fake_sha256(as_byte_span(text));
    }

    test::TempDir directory;
};

TEST_F(LayoutTest, WhatIsPushedCanBeFetchedInChunks)
{
    const auto content = pattern(10 * kBuffer + 77);
    const auto blob = push(content);
    EXPECT_TRUE(*run(target(layout()).blob_exists(layout(), blob.digest, deadline())));
    CollectingSink sink{4096};
    const auto outcome = fetch(blob, {4096, content.size()}, sink);
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_TRUE(sink.bytes == content.substr(4096));
    EXPECT_EQ(sink.ends.front(), kBuffer);
    EXPECT_EQ(sink.ends.size(), 11U);
}

TEST_F(LayoutTest, AFetchWaitsForBuffersOfTheCommonPool)
{
    pool.emplace(2 * kBuffer, kBuffer);
    const auto content = pattern(8 * kBuffer);
    const auto blob = push(content);
    CollectingSink sink{0};
    sink.keep = true;
    TaskScope scope{*loop};

    struct Run {
        static Task<void> it(Task<Result<void>> fetch) { (void)co_await fetch; }
    };

    scope.spawn(Run::it(source().blobs(blob.repository).fetch(blob, {0, content.size()}, sink, deadline())));
    while (!scope.empty()) {
        ASSERT_TRUE(test::run_until(*loop, [&] { return sink.kept.size() == 2 || scope.empty(); }));
        sink.kept.clear();
    }
    EXPECT_TRUE(sink.bytes == content);
}

TEST_F(LayoutTest, ABlobOfAnotherSizeOrNoneIsRefused)
{
    auto blob = push("some content");
    CollectingSink sink{0};
    blob.size += 1;
    EXPECT_EQ(fetch(blob, {0, 5}, sink).error().kind(), ErrorKind::kCorrupt);
    blob.digest = fake_sha256({});
    EXPECT_EQ(fetch(blob, {0, 5}, sink).error().kind(), ErrorKind::kNotFound);
    EXPECT_FALSE(*run(target(layout()).blob_exists(layout(), blob.digest, deadline())));
}

TEST_F(LayoutTest, TagsAreEntriesOfTheIndexAndMoveWhenPutAgain)
{
    const auto first = put("v1", "one");
    EXPECT_EQ(run(source().images(layout()).fetch_manifest(layout(), "v1", deadline()))->digest, first);
    const auto second = put("v1", "two");
    const auto third = put("sha256-" + first.hex() + ".sig", "signature");
    EXPECT_EQ(run(source().images(layout()).fetch_manifest(layout(), "v1", deadline()))->digest, second);
    EXPECT_EQ(run(source().images(layout()).fetch_manifest(layout(), first.to_string(), deadline()))->digest, first);
    EXPECT_EQ(
        run(source().images(layout()).fetch_manifest(layout(), "sha256-" + first.hex() + ".sig", deadline()))->digest,
        third
    );
    EXPECT_EQ(
        run(source().images(layout()).fetch_manifest(layout(), "v2", deadline())).error().kind(), ErrorKind::kNotFound
    );
    EXPECT_EQ(file("oci-layout"), R"({"imageLayoutVersion":"1.0.0"})");
    const auto resolved =
        run(source().images(layout()).resolve(*Reference::parse(layout() + ":v1"), host_platform(), deadline()));
    ASSERT_TRUE(resolved) << resolved.error().text();
    EXPECT_EQ(resolved->digest, second);
}

TEST_F(LayoutTest, WhatOthersWroteIntoTheIndexStays)
{
    const auto foreign = fake_sha256(as_byte_span("foreign")).to_string();
    (void)directory.write(
        "image/index.json",
        fmt::format(
            R"({{"schemaVersion":2,"x":"kept","manifests":[{{"mediaType":"t","digest":"{}","size":1,"y":"kept too"}}]}})",
            foreign
        )
    );
    (void)put("v1", "one");
    EXPECT_THAT(file("index.json"), HasSubstr("\"kept\""));
    EXPECT_THAT(file("index.json"), HasSubstr("kept too"));
}

TEST_F(LayoutTest, ABrokenIndexIsNamedAndNotReplaced)
{
    (void)directory.write("image/index.json", "{broken");
    const auto outcome = run(target(layout()).put_manifest(layout(), "v1", "t", "{}", deadline()));
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().text(), HasSubstr("index.json"));
    EXPECT_EQ(file("index.json"), "{broken");
    EXPECT_FALSE(run(source().images(layout()).fetch_manifest(layout(), "v1", deadline())));
}

TEST_F(LayoutTest, ATamperedManifestOrSmallBlobIsCorrupt)
{
    const auto digest = put("v1", "one");
    (void)directory.write("image/blobs/sha256/" + digest.hex(), "{}");
    EXPECT_EQ(
        run(source().images(layout()).fetch_manifest(layout(), "v1", deadline())).error().kind(), ErrorKind::kCorrupt
    );
    const auto blob = push("payload");
    EXPECT_EQ(*run(source().images(layout()).fetch_small_blob(blob, 100, deadline())), "payload");
    EXPECT_EQ(run(source().images(layout()).fetch_small_blob(blob, 3, deadline())).error().kind(), ErrorKind::kInvalid);
    (void)directory.write("image/blobs/sha256/" + blob.digest.hex(), "Payload");
    EXPECT_EQ(
        run(source().images(layout()).fetch_small_blob(blob, 100, deadline())).error().kind(), ErrorKind::kCorrupt
    );
}

TEST_F(LayoutTest, AFileThatIsNotCommittedLeavesNothing)
{
    const auto path = (directory.path() / "file").string();
    {
        auto made = LayoutFile::create(path);
        ASSERT_TRUE(made);
        ASSERT_TRUE((*made)->write(as_byte_span("half")));
    }
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST_F(LayoutTest, ADirectoryThatIsNoLayoutIsNamed)
{
    const auto raw = run(source().images(layout()).fetch_manifest(layout(), "v1", deadline()));
    ASSERT_FALSE(raw);
    EXPECT_EQ(raw.error().kind(), ErrorKind::kNotFound);
    EXPECT_THAT(raw.error().text(), HasSubstr("image/index.json"));
}

TEST_F(LayoutTest, AFifoInItIsRefusedAndNotWaitedFor)
{
    const auto blob = push(pattern(10'000));
    put("v1", "one");
    const auto make_fifo = [this](const std::string& name) {
        const auto path = (directory.path() / "image" / name).string();
        ASSERT_EQ(::unlink(path.c_str()), 0) << path;
        ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0) << path;
    };
    make_fifo("blobs/sha256/" + blob.digest.hex());
    CollectingSink sink{0};
    const auto fetched = fetch(blob, {0, 4096}, sink);
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind(), ErrorKind::kCorrupt);
    EXPECT_FALSE(run(source().images(layout()).fetch_small_blob(blob, 1'000'000, deadline())));
    make_fifo("index.json");
    const auto raw = run(source().images(layout()).fetch_manifest(layout(), "v1", deadline()));
    ASSERT_FALSE(raw);
    EXPECT_EQ(raw.error().kind(), ErrorKind::kInvalid);
}

} // namespace
} // namespace sluice::fetcher
