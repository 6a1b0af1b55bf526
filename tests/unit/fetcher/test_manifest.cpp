// SPDX-License-Identifier: Apache-2.0
#include "fetcher/manifest.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace sluice::fetcher {
namespace {

using ::testing::HasSubstr;

const std::string kDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

std::string descriptor(const std::string& more = {}, std::string_view type = "t")
{
    return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":7{}}})", type, kDigest, more);
}

std::string image(const std::string& layers, const std::string& more = {})
{
    return fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]{}}})", descriptor(), layers, more);
}

std::string platform(const std::string& os, const std::string& architecture, const std::string& more = {})
{
    return fmt::format(R"(,"platform":{{"os":"{}","architecture":"{}"{}}})", os, architecture, more);
}

Index index_of(const std::vector<std::string>& entries)
{
    const auto text = fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})", fmt::join(entries, ","));
    auto parsed = parse_manifest(text, media_type::kOciIndex);
    EXPECT_TRUE(parsed) << parsed.error().text();
    return parsed ? std::get<Index>(*parsed) : Index{};
}

std::string entry(const std::string& digit, const std::string& more, std::string_view type = media_type::kOciManifest)
{
    auto digest = kDigest;
    digest.back() = digit[0];
    return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":7{}}})", type, digest, more);
}

TEST(Manifest, AllItsPartsAreRead)
{
    const auto text = image(
        descriptor(R"(,"annotations":{"org.erofs.role":"device","empty":""},"artifactType":"x")"),
        R"(,"annotations":{"a":"b"},"artifactType":"art","subject":)" + descriptor()
    );
    const auto parsed = parse_manifest(text, "application/vnd.oci.image.manifest.v1+json; charset=utf-8");
    ASSERT_TRUE(parsed) << parsed.error().text();
    const auto& manifest = std::get<Manifest>(*parsed);
    EXPECT_EQ(manifest.media_type, media_type::kOciManifest);
    ASSERT_EQ(manifest.layers.size(), 1U);
    EXPECT_EQ(manifest.layers[0].size, 7U);
    EXPECT_EQ(manifest.layers[0].digest.to_string(), kDigest);
    EXPECT_EQ(*manifest.layers[0].annotation("org.erofs.role"), "device");
    EXPECT_EQ(*manifest.layers[0].annotation("empty"), "");
    EXPECT_EQ(manifest.layers[0].annotation("none"), nullptr);
    EXPECT_EQ(manifest.layers[0].artifact_type, "x");
    EXPECT_EQ(manifest.annotations.at("a"), "b");
    EXPECT_EQ(manifest.artifact_type, "art");
    ASSERT_TRUE(manifest.subject);
    EXPECT_EQ(manifest.subject->digest.to_string(), kDigest);
}

TEST(Manifest, ItsTypeMayBeInTheDocumentTheHeaderOrNowhere)
{
    const auto with_type = image("", fmt::format(R"(,"mediaType":"{}")", media_type::kDockerManifest));
    EXPECT_EQ(std::get<Manifest>(*parse_manifest(with_type, "")).media_type, media_type::kDockerManifest);
    EXPECT_EQ(std::get<Manifest>(*parse_manifest(image(""), "")).media_type, media_type::kOciManifest);
    EXPECT_TRUE(parse_manifest(image(""), "application/json"));
    const auto index = R"({"schemaVersion":2,"manifests":[]})";
    EXPECT_EQ(std::get<Index>(*parse_manifest(index, "text/plain")).media_type, media_type::kOciIndex);
    EXPECT_EQ(std::get<Index>(*parse_manifest(index, media_type::kDockerList)).media_type, media_type::kDockerList);
}

TEST(Manifest, WhatIsNoneIsRefused)
{
    const std::string kCases[] = {
        "",
        "[]",
        "{}",
        R"({"schemaVersion":2})",
        R"({"schemaVersion":1,"manifests":[]})",
        R"({"schemaVersion":"2","manifests":[]})",
        R"({"schemaVersion":2,"manifests":{}})",
        R"({"schemaVersion":2,"manifests":[7]})",
        R"({"schemaVersion":2,"manifests":[],"layers":[]})",
        R"({"schemaVersion":2,"manifests":[],"manifests":[]})",
        R"({"schemaVersion":2,"layers":[]})",
        image("{}"),
        image("null"),
        image(R"({"mediaType":"t","digest":"sha256:12","size":7})"),
        image(fmt::format(R"({{"mediaType":"t","digest":"{}","size":-7}})", kDigest)),
        image(fmt::format(R"({{"mediaType":"t","digest":"{}","size":7.5}})", kDigest)),
        image(fmt::format(R"({{"mediaType":"t","digest":"{}","size":9223372036854775808}})", kDigest)),
        image(fmt::format(R"({{"mediaType":7,"digest":"{}","size":7}})", kDigest)),
        image(descriptor(R"(,"annotations":[])")),
        image(descriptor(R"(,"annotations":{"a":7})")),
        image("", R"(,"artifactType":7)"),
        image("", R"(,"subject":{})"),
        image("", R"(,"mediaType":"application/x")"),
        image("", fmt::format(R"(,"mediaType":"{}")", media_type::kOciIndex)),
    };
    for (const auto& text : kCases) {
        const auto parsed = parse_manifest(text, "");
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().kind(), ErrorKind::kInvalid) << text;
    }
    EXPECT_FALSE(parse_manifest(image(""), media_type::kOciIndex)) << "another type than its members";
    const auto with_type = image("", fmt::format(R"(,"mediaType":"{}")", media_type::kOciManifest));
    EXPECT_FALSE(parse_manifest(with_type, media_type::kDockerManifest)) << "header and document disagree";
    EXPECT_FALSE(parse_manifest(image("") + std::string(kMaxManifestSize, ' '), "")) << "too long";
}

TEST(Platform, TheErofsManifestIsPreferredAndElseTheFirst)
{
    const Platform amd64{.os = "linux", .architecture = "amd64", .variant = {}, .os_features = {}};
    const Platform arm64{.os = "linux", .architecture = "arm64", .variant = {}, .os_features = {}};
    const auto erofs = R"(,"os.features":["erofs"])";

    const struct {
        std::vector<std::string> entries;
        Platform wanted;
        char chosen; // the last digit of the digest; '-': none
    } kCases[] = {
        {{entry("1", platform("linux", "amd64")), entry("2", platform("linux", "amd64", erofs))}, amd64, '2'},
        {{entry("1", platform("linux", "amd64")), entry("2", platform("linux", "amd64"))}, amd64, '1'},
        {{entry("1", platform("linux", "amd64", erofs)), entry("2", platform("linux", "amd64", erofs))}, amd64, '1'},
        {{entry("1", platform("linux", "arm64", erofs)), entry("2", platform("linux", "amd64"))}, amd64, '2'},
        {{entry("1", platform("linux", "arm64", R"(,"variant":"v8")"))}, arm64, '1'},
        {{entry("1", platform("linux", "amd64", R"(,"variant":"v3")"))}, amd64, '-'},
        {{entry("1", platform("windows", "amd64"))}, amd64, '-'},
        {{}, amd64, '-'},
        {{entry("1", "")}, amd64, '1'},
        {{entry("1", platform("unknown", "unknown")), entry("2", platform("linux", "amd64"))}, amd64, '2'},
        {{entry("1", R"(,"annotations":{"vnd.docker.reference.type":"attestation-manifest"})")}, amd64, '-'},
        {{entry("1", "", media_type::kOciIndex), entry("2", platform("linux", "amd64"))}, amd64, '2'},
        {{entry("1", "", media_type::kOciIndex)}, amd64, '1'},
    };

    for (const auto& test : kCases) {
        const auto chosen = choose_platform(index_of(test.entries), test.wanted);
        const auto digit = chosen ? chosen->digest.to_string().back() : '-';
        EXPECT_EQ(digit, test.chosen) << fmt::format("{}", fmt::join(test.entries, "\n"));
    }
}

TEST(Platform, ARefusalNamesWhatThereIs)
{
    const Platform amd64{.os = "linux", .architecture = "amd64", .variant = {}, .os_features = {}};
    const auto chosen = choose_platform(index_of({entry("1", platform("linux", "s390x"))}), amd64);
    ASSERT_FALSE(chosen);
    EXPECT_EQ(chosen.error().kind(), ErrorKind::kNotFound);
    EXPECT_THAT(chosen.error().text(), HasSubstr("linux/s390x"));
}

TEST(Platform, IsWrittenWithSlashes)
{
    EXPECT_EQ(parse_platform("linux/arm/v7")->variant, "v7");
    EXPECT_EQ(parse_platform("linux/amd64")->architecture, "amd64");
    for (const auto* text : {"", "linux", "linux/", "/amd64", "a/b/c/d"}) {
        EXPECT_FALSE(parse_platform(text)) << text;
    }
    EXPECT_EQ(host_platform().os, "linux");
}

} // namespace
} // namespace sluice::fetcher
