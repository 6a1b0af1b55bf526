// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fetcher/fetch_fixture.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

namespace sluice::fetcher {
namespace {

using test::Fault;
using ::testing::HasSubstr;

class RegistryTest : public FetchTest {
protected:
    template <typename T>
    T run(Task<T> task)
    {
        auto value = test::run_task(*loop, std::move(task));
        EXPECT_TRUE(value.has_value());
        return std::move(*value);
    }

    static std::string manifest_text(const std::string& name)
    {
        const auto digest = fake_sha256(as_byte_span(name)).to_string();
        return fmt::format(
            R"({{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"c","digest":"{}","size":1}},"layers":[]}})",
            media_type::kOciManifest,
            digest
        );
    }

    Digest add_manifest(const std::string& tag, const std::string& text)
    {
        return registry->add_manifest("team/app", tag, std::string{media_type::kOciManifest}, text);
    }

    Reference reference(const std::string& suffix)
    {
        auto parsed = Reference::parse(repository() + suffix);
        EXPECT_TRUE(parsed) << parsed.error().text();
        return *parsed;
    }

    Platform amd64{.os = "linux", .architecture = "amd64", .variant = {}, .os_features = {}};
};

TEST_F(RegistryTest, AManifestByTagIsNamedByOurOwnHash)
{
    const auto text = manifest_text("one");
    const auto digest = add_manifest("v1", text);
    const auto raw = run(images().fetch_manifest(repository(), "v1", deadline()));
    ASSERT_TRUE(raw) << raw.error().text();
    EXPECT_EQ(raw->digest, digest);
    EXPECT_EQ(raw->bytes, text);
    EXPECT_EQ(raw->media_type, media_type::kOciManifest);
    EXPECT_THAT(registry->requests().at(0).header("accept"), HasSubstr(std::string{media_type::kOciIndex}));
}

TEST_F(RegistryTest, AManifestWithOtherBytesThanItsDigestIsCorrupt)
{
    const auto digest = add_manifest("v1", manifest_text("one"));
    registry->script("/manifests/", Fault{.flip_at = 3});
    const auto raw = run(images().fetch_manifest(repository(), digest.to_string(), deadline()));
    ASSERT_FALSE(raw);
    EXPECT_EQ(raw.error().kind(), ErrorKind::kCorrupt);
}

TEST_F(RegistryTest, AMissingManifestIsNotFoundInTheRegistrysWords)
{
    const auto raw = run(images().fetch_manifest(repository(), "none", deadline()));
    ASSERT_FALSE(raw);
    EXPECT_EQ(raw.error().kind(), ErrorKind::kNotFound);
    EXPECT_THAT(raw.error().text(), HasSubstr("manifest unknown"));
}

TEST_F(RegistryTest, AManifestThatIsTooLongIsRefused)
{
    add_manifest("big", std::string(kMaxManifestSize + 1, ' '));
    const auto raw = run(images().fetch_manifest(repository(), "big", deadline()));
    ASSERT_FALSE(raw);
    EXPECT_EQ(raw.error().kind(), ErrorKind::kInvalid);
}

TEST_F(RegistryTest, AServerErrorOnAManifestIsTriedAgain)
{
    add_manifest("v1", manifest_text("one"));
    registry->script("/manifests/", Fault{.status = 502}, 2);
    EXPECT_TRUE(run(images().fetch_manifest(repository(), "v1", deadline())));
}

TEST_F(RegistryTest, ResolvingGoesThroughTheIndexAndKeepsBothDigests)
{
    const auto tar_text = manifest_text("tar");
    const auto erofs_text = manifest_text("erofs");
    const auto tar = add_manifest("", tar_text);
    const auto erofs = add_manifest("", erofs_text);
    const auto entry = [](const Digest& digest, std::size_t size, const char* features) {
        return fmt::format(
            R"({{"mediaType":"{}","digest":"{}","size":{},"platform":{{"os":"linux","architecture":"amd64"{}}}}})",
            media_type::kOciManifest,
            digest.to_string(),
            size,
            features
        );
    };
    const auto index_text = fmt::format(
        R"({{"schemaVersion":2,"manifests":[{},{}]}})",
        entry(tar, tar_text.size(), ""),
        entry(erofs, erofs_text.size(), R"(,"os.features":["erofs"])")
    );
    const auto index = registry->add_manifest("team/app", "v1", std::string{media_type::kOciIndex}, index_text);
    const auto resolved = run(images().resolve(reference(":v1"), amd64, deadline()));
    ASSERT_TRUE(resolved) << resolved.error().text();
    EXPECT_EQ(resolved->digest, erofs);
    EXPECT_EQ(resolved->bytes, erofs_text);
    EXPECT_EQ(resolved->index_digest, index);
    EXPECT_EQ(resolved->repository, repository());
    const auto direct = run(images().resolve(reference('@' + tar.to_string()), amd64, deadline()));
    ASSERT_TRUE(direct);
    EXPECT_EQ(direct->digest, tar);
    EXPECT_FALSE(direct->index_digest);
}

TEST_F(RegistryTest, IndexesInsideIndexesEnd)
{
    std::string inner = manifest_text("leaf");
    auto type = media_type::kOciManifest;
    for (int depth = 0; depth < 4; ++depth) {
        const auto digest = registry->add_manifest("team/app", fmt::format("d{}", depth), std::string{type}, inner);
        inner = fmt::format(
            R"({{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{}","size":{}}}]}})",
            type,
            digest.to_string(),
            inner.size()
        );
        type = media_type::kOciIndex;
    }
    EXPECT_TRUE(run(images().resolve(reference(":d2"), amd64, deadline())));
    const auto resolved = run(images().resolve(reference(":d3"), amd64, deadline()));
    ASSERT_FALSE(resolved);
    EXPECT_EQ(resolved.error().kind(), ErrorKind::kInvalid);
}

TEST_F(RegistryTest, ASmallBlobIsProvedAndBounded)
{
    const auto blob = add_blob("signature payload");
    EXPECT_EQ(*run(images().fetch_small_blob(blob, 100, deadline())), "signature payload");
    EXPECT_EQ(run(images().fetch_small_blob(blob, 5, deadline())).error().kind(), ErrorKind::kInvalid);
    registry->script("/blobs/", Fault{.flip_at = 2});
    EXPECT_EQ(run(images().fetch_small_blob(blob, 100, deadline())).error().kind(), ErrorKind::kCorrupt);
    registry->script("/blobs/", Fault{.status = 200, .body = "a far longer body than the descriptor's size"});
    EXPECT_EQ(run(images().fetch_small_blob(blob, 100, deadline())).error().kind(), ErrorKind::kInvalid);
}

TEST_F(RegistryTest, PushedBlobsAndManifestsAreThere)
{
    const test::TempDir directory;
    const auto content = pattern(3'000'000);
    const auto digest = fake_sha256(as_byte_span(content));
    EXPECT_FALSE(*run(target().blob_exists(repository(), digest, deadline())));
    {
        const auto path = directory.write("blob", content);
        const UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        std::vector<std::uint64_t> told;
        const auto outcome = run(target().push_blob(
            repository(),
            fd.get(),
            digest,
            content.size(),
            [&](std::uint64_t sent) { told.push_back(sent); },
            deadline()
        ));
        ASSERT_TRUE(outcome) << outcome.error().text();
        ASSERT_FALSE(told.empty());
        EXPECT_EQ(told.back(), content.size());
        EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
    }
    EXPECT_TRUE(registry->blob(digest) == content);
    EXPECT_TRUE(*run(target().blob_exists(repository(), digest, deadline())));
    const auto config = fake_sha256(as_byte_span("{}"));
    ASSERT_TRUE(run(target().push_blob_bytes(repository(), "{}", config, deadline())));
    EXPECT_EQ(registry->blob(config), "{}");
    const auto text = manifest_text("one");
    const auto put =
        run(target().put_manifest(repository(), "v1", std::string{media_type::kOciManifest}, text, deadline()));
    ASSERT_TRUE(put) << put.error().text();
    EXPECT_EQ(registry->manifest("team/app", "v1"), text);
}

TEST_F(RegistryTest, APushAsksForTheRightToPush)
{
    registry->require_bearer();
    ASSERT_TRUE(run(target().push_blob_bytes(repository(), "x", fake_sha256(as_byte_span("x")), deadline())));
    EXPECT_EQ(registry->count_requests("/token"), 1U);
}

TEST_F(RegistryTest, ARefusedUploadSaysWhy)
{
    registry->script(
        "/blobs/uploads/", Fault{.status = 403, .body = R"({"errors":[{"code":"DENIED","message":"read only"}]})"}
    );
    const auto outcome = run(target().push_blob_bytes(repository(), "x", fake_sha256(as_byte_span("x")), deadline()));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kDenied);
    EXPECT_THAT(outcome.error().text(), HasSubstr("read only"));
}

} // namespace
} // namespace sluice::fetcher
