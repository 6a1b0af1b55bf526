// SPDX-License-Identifier: Apache-2.0
#include "fetcher/reference.hpp"

#include <gtest/gtest.h>
#include <string>

namespace sluice::fetcher {
namespace {

const std::string kHex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(Reference, IsCompletedAsUsersExpect)
{
    const struct {
        std::string text;
        std::string complete;
    } kCases[] = {
        {"debian", "docker.io/library/debian:latest"},
        {"debian:12", "docker.io/library/debian:12"},
        {"team/app", "docker.io/team/app:latest"},
        {"docker.io/debian", "docker.io/library/debian:latest"},
        {"index.docker.io/team/app:1", "docker.io/team/app:1"},
        {"registry-1.docker.io/debian", "docker.io/library/debian:latest"},
        {"quay.io/a/b/c:v1.2_3-x", "quay.io/a/b/c:v1.2_3-x"},
        {"Registry.Example/a", "registry.example/a:latest"},
        {"registry.example:5000/a", "registry.example:5000/a:latest"},
        {"registry.example:5000/a:1", "registry.example:5000/a:1"},
        {"localhost/a", "localhost/a:latest"},
        {"localhost:5000/a/b", "localhost:5000/a/b:latest"},
        {"127.0.0.1:5000/a", "127.0.0.1:5000/a:latest"},
        {"[::1]:5000/a:1", "[::1]:5000/a:1"},
        {"[fd00::1]/a", "[fd00::1]/a:latest"},
        {"quay.io/a@sha256:" + kHex, "quay.io/a@sha256:" + kHex},
        {"quay.io/a:1@sha256:" + kHex, "quay.io/a:1@sha256:" + kHex},
        {"a__b/c---d.e", "docker.io/a__b/c---d.e:latest"},
        {"oci:/srv/image", "oci:/srv/image:latest"},
        {"oci:/srv/image:1.0", "oci:/srv/image:1.0"},
        {"oci:/srv/im:age/x", "oci:/srv/im:age/x:latest"},
        {"oci:/srv/image@sha256:" + kHex, "oci:/srv/image@sha256:" + kHex},
        {"oci:/srv/i@home/x:1", "oci:/srv/i@home/x:1"},
    };

    for (const auto& test : kCases) {
        const auto reference = Reference::parse(test.text);
        ASSERT_TRUE(reference) << test.text << ": " << reference.error().text();
        EXPECT_EQ(reference->to_string(), test.complete);
        const auto again = Reference::parse(reference->to_string());
        ASSERT_TRUE(again) << test.complete;
        EXPECT_EQ(*again, *reference);
        const auto repository = Repository::parse(reference->repository.to_string());
        ASSERT_TRUE(repository) << reference->repository.to_string();
        EXPECT_EQ(*repository, reference->repository);
    }
}

TEST(Reference, ADigestDecidesOverATag)
{
    EXPECT_EQ(Reference::parse("quay.io/a:1@sha256:" + kHex)->tag_or_digest(), "sha256:" + kHex);
    EXPECT_EQ(Reference::parse("quay.io/a:1")->tag_or_digest(), "1");
}

TEST(Reference, WhatIsNoneIsRefused)
{
    const std::string kCases[] = {
        "",
        ":1",
        "@sha256:" + kHex,
        "quay.io/",
        "quay.io//a",
        "quay.io/A",
        "quay.io/a/",
        "quay.io/../a",
        "quay.io/a..b",
        "quay.io/a___b",
        "quay.io/-a",
        "quay.io/a b",
        "quay.io/a:",
        "quay.io/a:-x",
        "quay.io/a:" + std::string(129, 'x'),
        "quay.io/a@sha256:12",
        "quay.io/a@sha512:" + kHex + kHex,
        "quay.io/" + std::string(256, 'a'),
        "quay.io:0/a",
        "quay.io:65536/a",
        "quay.io:5x/a",
        "user@quay.io/a",
        "[::1/a",
        "[]:5000/a",
        "-x.example/a",
        "http://quay.io/a",
        "https://quay.io/a:1",
        "oci:relative",
        "oci:",
        "oci:/srv:-x",
        "quay.io/a?b",
        "quay.io/a#b",
        "quay.io/a%2f",
    };
    for (const auto& text : kCases) {
        const auto reference = Reference::parse(text);
        ASSERT_FALSE(reference) << text;
        EXPECT_EQ(reference.error().kind(), ErrorKind::kInvalid) << text;
    }
}

TEST(Repository, TakesOnlyCompleteNames)
{
    EXPECT_EQ(Repository::parse("127.0.0.1:5000/a/b")->registry, "127.0.0.1:5000");
    EXPECT_EQ(Repository::parse("oci:/a")->name, "/a");
    for (const auto* text : {"", "a", "/a", "a/", "oci:a", "quay.io/a:1", "quay.io/a@b"}) {
        EXPECT_FALSE(Repository::parse(text)) << text;
    }
}

} // namespace
} // namespace sluice::fetcher
