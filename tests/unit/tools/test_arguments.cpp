// SPDX-License-Identifier: Apache-2.0
#include "tools/arguments.hpp"
#include "tools/helper_arguments.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace sluice::tools {

namespace {

std::variant<Arguments, Said, Error> parse(std::vector<const char*> words)
{
    words.insert(words.begin(), "sluicectl");
    return parse_arguments(static_cast<int>(words.size()), words.data());
}

Arguments good(std::vector<const char*> words)
{
    auto parsed = parse(std::move(words));
    if (!std::holds_alternative<Arguments>(parsed)) {
        ADD_FAILURE() << "refused";
        return {};
    }
    return std::get<Arguments>(std::move(parsed));
}

/// -1: a command; 0: help or the like; 2: wrong usage.
int status(std::vector<const char*> words)
{
    const auto parsed = parse(std::move(words));
    if (std::holds_alternative<Error>(parsed)) {
        return 2;
    }
    return std::holds_alternative<Said>(parsed) ? 0 : -1;
}

std::string fault(std::vector<const char*> words)
{
    const auto parsed = parse(std::move(words));
    const auto* error = std::get_if<Error>(&parsed);
    return error == nullptr ? std::string{} : error->text();
}

} // namespace

TEST(Arguments, TakeGlobalOptionsOnEitherSide)
{
    const auto before = good({"--json", "--socket", "/s", "blobs"});
    EXPECT_TRUE(before.json);
    EXPECT_EQ(before.socket, "/s");
    EXPECT_EQ(before.subcommand, Subcommand::kBlobs);
    const auto behind = good({"status", "--json"});
    EXPECT_TRUE(behind.json);
    EXPECT_EQ(behind.socket, "/run/sluice/control.sock");
}

TEST(Arguments, AWrongOneIsNamed)
{
    EXPECT_TRUE(fault({"nope"}).starts_with("there is no command 'nope'")) << fault({"nope"});
    EXPECT_TRUE(fault({"--nope"}).starts_with("there is no option '--nope'")) << fault({"--nope"});
    EXPECT_NE(fault({"blobs", "nope"}).find("nope"), std::string::npos) << fault({"blobs", "nope"});
    EXPECT_NE(fault({}).find("subcommand is required"), std::string::npos) << fault({});
}

TEST(Arguments, ASocketsNameIsNeitherEmptyNorTooLong)
{
    const std::string longest = "/" + std::string(106, 's');
    EXPECT_EQ(good({"--socket", longest.c_str(), "blobs"}).socket, longest);
    EXPECT_NE(fault({"--socket", "", "blobs"}).find("empty"), std::string::npos);
    EXPECT_NE(fault({"--socket", (longest + "s").c_str(), "blobs"}).find("107 bytes"), std::string::npos);
    EXPECT_NE(fault({"export", "--library-socket", "", "r/a:1", "f"}).find("empty"), std::string::npos);
}

TEST(Arguments, OfMountAndItsKin)
{
    const auto mount = good({"mount", "-o", "nodev", "--lazy-only", "r/a:1", "/m", "--layers-dir", "/l"});
    EXPECT_EQ(mount.subcommand, Subcommand::kMount);
    EXPECT_EQ(mount.reference, "r/a:1");
    EXPECT_EQ(mount.dir, "/m");
    EXPECT_EQ(mount.mount_options, "nodev");
    EXPECT_EQ(mount.layers_dir, "/l");
    EXPECT_TRUE(mount.lazy_only);
    EXPECT_FALSE(mount.refresh);
    EXPECT_FALSE(mount.quiet);
    EXPECT_TRUE(good({"mount", "-q", "r/a:1", "/m"}).quiet);
    EXPECT_TRUE(good({"mount", "--refresh", "r/a:1", "/m"}).refresh);
    EXPECT_EQ(good({"umount", "/m"}).dir, "/m");
    EXPECT_EQ(good({"forget", "r/a:1"}).reference, "r/a:1");
    EXPECT_EQ(good({"release-layers", "--layers-dir", "/l"}).layers_dir, "/l");
    EXPECT_NE(fault({"release-layers", "--mount-namespace", "/n"}).find("--layers-dir"), std::string::npos);
}

TEST(Arguments, OfPublishThatCannotGoTogetherAreNamed)
{
    const auto publish = [](std::vector<const char*> more) {
        more.insert(more.begin(), {"publish", "--key", "k", "--from-dir", "d", "r/a:1"});
        return fault(more);
    };
    EXPECT_NE(publish({"--separate-data"}).find("--chunksize"), std::string::npos);
    const auto both = publish({"--chunksize", "4096", "--compress", "lz4"});
    EXPECT_NE(both.find("--chunksize"), std::string::npos) << both;
    EXPECT_NE(both.find("--compress"), std::string::npos) << both;
    EXPECT_NE(publish({"--arch", "foo/bar"}).find("--arch: architecture 'foo/bar'"), std::string::npos);
    EXPECT_NE(publish({"--arch", "x86_64"}).find("did you mean amd64?"), std::string::npos);
}

TEST(Arguments, OfPublishKeepTheOrderOfTheLayers)
{
    const auto publish =
        good({"publish", "--key",      "k.pem", "--from-tar",  "1",   "--from-erofs", "2",   "--device",
              "2a",      "--device",   "2b",    "--from-dir",  "3",   "--from-erofs", "4",   "--device",
              "4a",      "--from-tar", "5",     "--chunksize", "64K", "--mkfs-opt",   "-T0", "--mkfs-opt",
              "-x-1",    "--insecure", "r/a:1"})
            .publish;
    ASSERT_EQ(publish.options.inputs.size(), 5U);
    const auto& inputs = publish.options.inputs;
    EXPECT_EQ(inputs[0].kind, InputKind::kTar);
    EXPECT_EQ(inputs[1].kind, InputKind::kErofs);
    EXPECT_EQ(inputs[1].devices, (std::vector<std::filesystem::path>{"2a", "2b"}));
    EXPECT_EQ(inputs[2].kind, InputKind::kDirectory);
    EXPECT_EQ(inputs[3].devices, (std::vector<std::filesystem::path>{"4a"}));
    EXPECT_EQ(inputs[4].path, "5");
    EXPECT_EQ(publish.options.key, "k.pem");
    EXPECT_EQ(publish.options.reference, "r/a:1");
    EXPECT_EQ(publish.options.chunk_size, 65536U);
    EXPECT_EQ(publish.options.mkfs_options, (std::vector<std::string>{"-T0", "-x-1"}));
    EXPECT_TRUE(publish.insecure);
    EXPECT_FALSE(publish.private_networks);
    EXPECT_TRUE(
        good({"publish", "--key", "k", "--from-dir", "d", "--private-networks", "r/a:1"}).publish.private_networks
    );
}

TEST(Arguments, WrongUsageIsStatusTwo)
{
    EXPECT_EQ(status({}), 2);
    EXPECT_EQ(status({"frobnicate"}), 2);
    EXPECT_EQ(status({"mount", "only-one"}), 2);
    EXPECT_EQ(status({"images", "--wrong"}), 2);
    EXPECT_EQ(status({"publish", "--key", "k", "r/a:1"}), 2);
    EXPECT_EQ(status({"publish", "--from-dir", "d", "r/a:1"}), 2);
    EXPECT_EQ(status({"publish", "--key", "k", "--device", "d", "--from-erofs", "e", "r/a:1"}), 2);
    EXPECT_EQ(status({"publish", "--key", "k", "--from-dir", "d", "--chunksize", "big", "r/a:1"}), 2);
    EXPECT_EQ(status({"publish", "--key", "k", "--from-dir", "d", "--media-type", "tar", "r/a:1"}), 2);
}

TEST(Arguments, HelpAndVersionAreNoErrors)
{
    EXPECT_EQ(status({"--help"}), 0);
    EXPECT_EQ(status({"--version"}), 0);
    const auto help = parse({"publish", "--help"});
    ASSERT_TRUE(std::holds_alternative<Said>(help));
    EXPECT_NE(std::get<Said>(help).text.find("--from-dir"), std::string::npos);
}

TEST(HelperArguments, FollowMountsProtocol)
{
    const auto parsed = parse_helper_arguments(
        {"r/a:1", "/m", "-v", "-o", "rw,noatime", "-sfn", "-o", "nodev", "-N", "17", "-t", "sluice"}
    );
    ASSERT_TRUE(parsed) << parsed.error().text();
    EXPECT_EQ(parsed->spec, "r/a:1");
    EXPECT_EQ(parsed->dir, "/m");
    EXPECT_EQ(parsed->options, "rw,noatime,nodev");
    EXPECT_EQ(parsed->mount_namespace, "/proc/17/ns/mnt");
    EXPECT_TRUE(parsed->sloppy && parsed->fake && parsed->verbose);
    EXPECT_EQ(parse_helper_arguments({"-oro", "r", "/m", "-N/ns"})->options, "ro");
    EXPECT_EQ(parse_helper_arguments({"-oro", "r", "/m", "-N/ns"})->mount_namespace, "/ns");
    EXPECT_TRUE(parse_helper_arguments({"--fake", "--no-mtab", "r", "/m"})->fake);
    EXPECT_TRUE(parse_helper_arguments({"-V"})->version);
    EXPECT_TRUE(parse_helper_arguments({"--help"})->help);
}

TEST(HelperArguments, NeedAnImageAndADirectory)
{
    EXPECT_FALSE(parse_helper_arguments({}));
    EXPECT_FALSE(parse_helper_arguments({"r"}));
    EXPECT_FALSE(parse_helper_arguments({"r", ""}));
    EXPECT_FALSE(parse_helper_arguments({"r", "/m", "more"}));
    EXPECT_FALSE(parse_helper_arguments({"r", "/m", "-o"}));
    EXPECT_FALSE(parse_helper_arguments({"r", "/m", "-x"}));
}

} // namespace sluice::tools
