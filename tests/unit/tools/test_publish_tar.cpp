// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/tools/publish_fixture.hpp"
#include "tools/publish/unpack.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace sluice::tools {
namespace {

using ::testing::HasSubstr;

class PublishTarTest : public PublishFixture {
protected:
    void SetUp() override
    {
        PublishFixture::SetUp();
        if (!IsSkipped() && ::geteuid() != 0) {
            GTEST_SKIP() << "only root can unpack owners and make whiteouts";
        }
    }

    std::filesystem::path make_tar(const std::string& name, const std::string& options)
    {
        auto file = dir_.path() / name;
        const auto made = run_shell(fmt::format("tar --create --file {} {}", file.string(), options));
        EXPECT_EQ(made.status, 0) << made.output;
        return file;
    }
};

TEST_F(PublishTarTest, HoldsWhatTheTarHeldWithOwnersAndAttributes)
{
    const auto small = tree() / "small";
    ASSERT_EQ(::lchown(small.c_str(), 1234, 5678), 0);
    ASSERT_EQ(::setxattr(small.c_str(), "user.note", "kept", 4, 0), 0);
    const auto tar = make_tar("layer.tar.gz", fmt::format("--gzip --xattrs -C {} .", tree().string()));
    const auto report = publish_or_fail(options(InputKind::kTar, tar));
    ASSERT_EQ(report.layers.size(), 1U);
    ASSERT_EQ(report.notes.size(), 1U);
    EXPECT_THAT(report.notes[0], HasSubstr("tar(1)"));
    const auto& blob = target_.blobs.at(report.layers[0].digest.to_string());
    const auto image = dir_.write("image", blob.substr(0, report.layers[0].erofs_size));
    const auto dump = run_shell("dump.erofs --path=/small " + image.string());
    EXPECT_THAT(dump.output, HasSubstr("Uid: 1234   Gid: 5678"));
    EXPECT_NE(blob.find("kept"), std::string::npos) << "the attribute's value";
    const auto out = dir_.path() / "out";
    ASSERT_EQ(run_shell(fmt::format("fsck.erofs --extract={} {}", out.string(), image.string())).status, 0);
    const auto compared = run_shell(fmt::format("diff -r --no-dereference {} {}", tree().string(), out.string()));
    EXPECT_EQ(compared.status, 0) << compared.output;
}

TEST_F(PublishTarTest, TheSameTarGivesTheSameDigestsEvenWithoutDirectoryEntries)
{
    const auto tar = make_tar("files.tar", fmt::format("-C {} small sub/big", tree().string()));
    const auto first = publish_or_fail(options(InputKind::kTar, tar));
    const auto second = publish_or_fail(options(InputKind::kTar, tar));
    EXPECT_EQ(first.digest, second.digest);
}

TEST_F(PublishTarTest, ABrokenTarIsAnErrorThatSaysSo)
{
    const auto report = run(options(InputKind::kTar, dir_.write("broken.tar", "no tar at all")));
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().text(), HasSubstr("broken.tar"));
    EXPECT_THAT(report.error().text(), HasSubstr("tar: exit status 2"));
}

TEST_F(PublishTarTest, WhiteoutsBecomeThoseOfOverlayfs)
{
    const auto root = dir_.path() / "layer";
    (void)dir_.write("layer/dir/.wh.gone", "");
    (void)dir_.write("layer/dir/kept", "kept");
    (void)dir_.write("layer/replaced/.wh..wh..opq", "");
    (void)dir_.write("layer/.wh..wh.plnk", "");
    (void)dir_.write("layer/both", "new");
    (void)dir_.write("layer/.wh.both", "");
    const auto before = modified_at(root / "dir");
    ASSERT_TRUE(before);
    const auto count = convert_whiteouts(root);
    ASSERT_TRUE(count) << count.error().text();
    EXPECT_EQ(*count, 4U);

    struct stat status {};

    ASSERT_EQ(::lstat((root / "dir/gone").c_str(), &status), 0);
    EXPECT_TRUE(S_ISCHR(status.st_mode));
    EXPECT_EQ(status.st_rdev, makedev(0, 0));
    EXPECT_EQ(*modified_at(root / "dir"), *before);
    std::array<char, 4> value{};
    EXPECT_EQ(::getxattr((root / "replaced").c_str(), "trusted.overlay.opaque", value.data(), value.size()), 1);
    EXPECT_EQ(value[0], 'y');
    ASSERT_EQ(::lstat((root / "both").c_str(), &status), 0);
    EXPECT_TRUE(S_ISREG(status.st_mode)); // what the layer itself holds is not hidden by it
    EXPECT_FALSE(run_shell("find " + root.string() + " | grep -q '/[.]wh[.]'").status == 0);
}

TEST_F(PublishTarTest, AWhiteoutWithoutANameIsRefused)
{
    for (const auto* name : {".wh.", ".wh..", ".wh..."}) {
        const auto root = dir_.path() / "bad" / std::to_string(std::string_view{name}.size());
        std::filesystem::create_directories(root);
        (void)dir_.write(root / name, "");
        const auto count = convert_whiteouts(root);
        ASSERT_FALSE(count) << name;
        EXPECT_EQ(count.error().kind(), ErrorKind::kInvalid);
    }
}

} // namespace
} // namespace sluice::tools
