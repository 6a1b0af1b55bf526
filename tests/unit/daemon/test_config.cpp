// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/config.hpp"
#include "daemon/config/directives.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <string>

namespace sluice::daemon {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// What Debian's cachefilesd 0.10.10 ships.
constexpr const char* kStock = "###############\n"
                               "#\n"
                               "# a comment\n"
                               "\n"
                               "dir /var/cache/fscache\n"
                               "tag mycache\n"
                               "brun 10%\n"
                               "bcull 7%\n"
                               "bstop 3%\n"
                               "frun 10%\n"
                               "fcull 7%\n"
                               "fstop 3%\n"
                               "\n"
                               "# secctx system_u:system_r:cachefiles_kernel_t:s0\n";

ConfigErrors errors_of(std::string_view text)
{
    auto parsed = parse_config(text, "f");
    return parsed ? ConfigErrors{} : parsed.error();
}

TEST(Config, AcceptsAStockCachefilesdFile)
{
    const auto config = parse_config(kStock, "cachefilesd.conf");
    ASSERT_TRUE(config) << config.error().front();
    EXPECT_EQ(config->dir, "/var/cache/fscache");
    EXPECT_EQ(config->tag, "mycache");
    EXPECT_EQ(config->blocks, (CullLimits{.run = 10, .cull = 7, .stop = 3}));
    EXPECT_EQ(config->files, (CullLimits{.run = 10, .cull = 7, .stop = 3}));
}

TEST(Config, AcceptsEveryDirectiveOfCachefilesd)
{
    const auto config = parse_config(
        "secctx system_u:system_r:cachefiles_kernel_t:s0\n"
        "culltable 14\n  nocull\n\tresume_thresholds\t-   5\ndebug 0x7\ndir /a b/c  \r\n",
        "f"
    );
    ASSERT_TRUE(config) << config.error().front();
    EXPECT_EQ(config->secctx, "system_u:system_r:cachefiles_kernel_t:s0");
    EXPECT_EQ(config->culltable, 14U);
    EXPECT_TRUE(config->nocull);
    EXPECT_EQ(config->resume_thresholds, (ResumeThresholds{.blocks = std::nullopt, .files = 5}));
    EXPECT_EQ(config->kernel_debug, 7U);
    EXPECT_EQ(config->dir, "/a b/c") << "a path is the rest of the line, as in cachefilesd";
}

TEST(Config, EmptyFileMeansTheDefaults)
{
    const auto config = parse_config("", "f");
    ASSERT_TRUE(config);
    EXPECT_EQ(*config, Config{});
    EXPECT_EQ(config->blocks, (CullLimits{.run = 7, .cull = 5, .stop = 1}));
    EXPECT_GE(config->workers, 2U);
    EXPECT_LE(config->workers, 4U);
}

TEST(Config, RepeatableDirectivesAddUpInOrder)
{
    const auto config = parse_config(
        "trusted-key /k/1.pem\ntrusted-key /k/2.pem\nregistry-insecure LocalHost:5000\nregistry-insecure 10.0.0.1\n",
        "f"
    );
    ASSERT_TRUE(config);
    EXPECT_THAT(config->trusted_keys, ElementsAre(TrustedKeyFile{"/k/1.pem", {}}, TrustedKeyFile{"/k/2.pem", {}}));
    EXPECT_THAT(config->registry_insecure, ElementsAre("localhost:5000", "10.0.0.1"));
}

TEST(Config, ReportsEveryErrorWithItsLine)
{
    EXPECT_THAT(
        errors_of("dir relative\n# fine\nread-ahaed 4M\ntag\nnocull yes\nlog-level loud\n"),
        ElementsAre(
            AllOf(StartsWith("f:1: dir: 'relative' is not allowed"), HasSubstr("an absolute path")),
            AllOf(StartsWith("f:3: unknown directive 'read-ahaed'"), HasSubstr("'read-ahead'")),
            StartsWith("f:4: tag: lacks its argument: expected one word"),
            StartsWith("f:5: nocull: 'yes' is not allowed: takes no argument"),
            AllOf(StartsWith("f:6: log-level: 'loud'"), HasSubstr("error, warning, notice, info, debug"))
        )
    );
}

TEST(Config, ASingleValuedDirectiveGivenTwiceNamesBothLines)
{
    EXPECT_THAT(errors_of("tag a\n\ntag a\n"), ElementsAre("f:3: tag: given twice, first in line 1; once is allowed"));
}

TEST(Config, LimitsOutOfOrderAreAnError)
{
    EXPECT_THAT(errors_of("bcull 7%\nbrun 7%\n"), ElementsAre("f:2: brun: 7% must be above bcull 7%"));
    EXPECT_THAT(errors_of("frun 4%\n"), ElementsAre("f:1: frun: 4% must be above fcull 5% (the default)"));
    EXPECT_THAT(errors_of("bstop 9%\nbcull 8%\nbrun 20%\n"), ElementsAre("f:2: bcull: 8% must be above bstop 9%"));
    EXPECT_THAT(errors_of("bstop 0%\nbcull 1%\nbrun 2%\n"), ElementsAre());
}

TEST(Config, ARefusedLimitIsNotComparedToo)
{
    EXPECT_THAT(errors_of("brun 3\n"), ElementsAre(HasSubstr("a per cent sign")));
}

TEST(Config, SizesThatContradictEachOtherAreAnError)
{
    EXPECT_THAT(
        errors_of("max-request 16M\nmemory-budget 8M\n"),
        ElementsAre("f:2: memory-budget: 8.0 MiB must not be below max-request 16.0 MiB")
    );
    EXPECT_THAT(
        errors_of("random-window 8M\n"),
        ElementsAre("f:1: max-request: 4.0 MiB (the default) must not be below random-window 8.0 MiB")
    );
}

TEST(Config, PlacesThatWouldClearEachOtherAwayAreAnError)
{
    EXPECT_THAT(
        errors_of("control-socket /run/s\nlibrary-socket /run//s\n"),
        ElementsAre("f:2: library-socket: /run//s must not be control-socket")
    );
    EXPECT_THAT(
        errors_of("tag t\ncontrol-socket /run/blobs.sock\n"),
        ElementsAre("f:2: library-socket: /run/blobs.sock (the default) must not be control-socket")
    );
    EXPECT_THAT(
        errors_of("layers-dir /a/\ndir /a\n\nblobs-dir /a"),
        ElementsAre(
            "f:2: layers-dir: /a/ must not be dir",
            "f:4: blobs-dir: /a must not be dir",
            "f:4: blobs-dir: /a must not be layers-dir"
        )
    );
    EXPECT_THAT(errors_of("\ndir //\n"), ElementsAre("f:2: dir: the root directory is not allowed"));
    EXPECT_THAT(errors_of("layers-dir /"), ElementsAre("f:1: layers-dir: the root directory is not allowed"));
    EXPECT_THAT(errors_of("dir /a\nlayers-dir /a/layers\nblobs-dir /ab\n"), ElementsAre());
    EXPECT_THAT(errors_of("blobs-dir /" + std::string(181, 'b')), ElementsAre(HasSubstr("at most 181 bytes")));
}

TEST(Config, BinaryFilesAreRefusedWithOneError)
{
    EXPECT_THAT(errors_of(std::string_view{"tag a\ntag \0b\n", 13}), ElementsAre(StartsWith("f:2: not a text file")));
    EXPECT_THAT(
        errors_of("\x7f"
                  "ELF\n"),
        ElementsAre(StartsWith("f:1: not a text file"))
    );
}

TEST(Config, HugeFilesAreRefusedWithOneError)
{
    const std::string text(kMaxConfigBytes + 1, '\n');
    EXPECT_THAT(errors_of(text), ElementsAre(HasSubstr("larger than 256.0 KiB")));
}

TEST(Config, LongLinesAreRefused)
{
    EXPECT_THAT(errors_of("tag " + std::string(5000, 'x')), ElementsAre(StartsWith("f:1: the line is longer than")));
}

TEST(Config, TheListOfErrorsIsBounded)
{
    std::string text;
    for (int i = 0; i < 1000; ++i) {
        text += "nonsense\n";
    }
    const auto errors = errors_of(text);
    ASSERT_EQ(errors.size(), 51U);
    EXPECT_EQ(errors.back(), "f: and 950 more errors");
}

TEST(Config, ForeignTextInErrorsIsPrintable)
{
    EXPECT_THAT(errors_of("t\xc3\xa4g x\n"), ElementsAre(HasSubstr("'t\\xc3\\xa4g'")));
}

TEST(Config, PrintedDefaultsReadBack)
{
    const auto again = parse_config(print_config(Config{}), "printed");
    ASSERT_TRUE(again) << again.error().front();
    EXPECT_EQ(*again, Config{});
}

TEST(LoadConfig, ReadsAFile)
{
    const test::TempDir dir;
    const auto config = load_config(dir.write("s.conf", "tag mine")); // no newline at the end
    ASSERT_TRUE(config);
    EXPECT_EQ(config->tag, "mine");
}

TEST(LoadConfig, NamesTheFileInErrors)
{
    const test::TempDir dir;
    const auto file = dir.write("s.conf", "tag a b\n");
    EXPECT_THAT(load_config(file).error(), ElementsAre(StartsWith(file.native() + ":1: tag: 'a b'")));
}

TEST(LoadConfig, MissingFilesAndDirectoriesAreErrors)
{
    const test::TempDir dir;
    EXPECT_THAT(load_config(dir.path() / "no").error(), ElementsAre(HasSubstr("/no: No such file")));
    EXPECT_THAT(load_config(dir.path()).error(), ElementsAre(HasSubstr("Is a directory")));
}

/// The file that is installed, as `meson test` points at it.
class PackagedConfig : public testing::Test {
protected:
    void SetUp() override
    {
        const char* file = std::getenv("SLUICE_PACKAGED_CONFIG"); // NOLINT(concurrency-mt-unsafe): nobody sets it
        if (file == nullptr) {
            GTEST_SKIP() << "run by meson test";
        }
        file_ = file;
    }

    std::string file_;
};

TEST_F(PackagedConfig, MeansTheDefaults)
{
    const auto config = load_config(file_);
    ASSERT_TRUE(config) << config.error().front();
    EXPECT_EQ(*config, Config{});
}

TEST_F(PackagedConfig, ShowsEveryDirectiveWithItsDefault)
{
    std::set<std::string> lines;
    std::ifstream stream{file_};
    std::set<std::string> names;
    for (std::string line; std::getline(stream, line);) {
        names.insert(line.substr(0, line.find(' ')));
        lines.insert(std::move(line));
    }
    for (const auto& directive : directives()) {
        EXPECT_TRUE(names.contains(fmt::format("#{}", directive.name))) << directive.name;
        for (const auto& value : directive.get(Config{})) {
            const auto line = fmt::format("#{} {}", directive.name, value);
            EXPECT_TRUE(lines.contains(line) || directive.name == "workers") << line;
        }
    }
}

} // namespace
} // namespace sluice::daemon
