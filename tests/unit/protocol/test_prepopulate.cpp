// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/protocol/cache_file_fixture.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace sluice::protocol {
namespace {

namespace fs = std::filesystem;

class PrepopulateTest : public CacheFileTest {
protected:
    [[nodiscard]] std::size_t private_files() const
    {
        const fs::directory_iterator files{dir_.path() / "private"};
        return static_cast<std::size_t>(std::distance(begin(files), end(files)));
    }

    static std::string attribute(const fs::path& path)
    {
        std::string value(64, '\0');
        const auto length = ::lgetxattr(path.c_str(), kCacheXattr, value.data(), value.size());
        value.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
        return value;
    }
};

TEST_F(PrepopulateTest, ACommittedFileLooksAsIfTheKernelHadMadeIt)
{
    populate();

    struct stat info {};

    ASSERT_EQ(::lstat(place().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFREG | 0600));
    EXPECT_EQ(info.st_size, 2 * 4096);
    const auto wanted = encode_file_xattr(2 * kBlockSize);
    EXPECT_EQ(attribute(place()), (std::string{reinterpret_cast<const char*>(wanted.data()), wanted.size()}));
    const auto volume = dir_.path() / "cache" / "Ierofs,dom0";
    EXPECT_EQ(attribute(volume), std::string(4, '\0'));
    for (const auto& directory : {volume, place().parent_path(), dir_.path() / "cache"}) {
        ASSERT_EQ(::lstat(directory.c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777U, 0700U);
    }
    EXPECT_EQ(private_files(), 0U);
    const auto found = find_committed(dir_.path(), "erofs,dom0", "blob");
    ASSERT_TRUE(found.has_value()) << found.error().text();
    EXPECT_EQ(found->size, 2 * kBlockSize);
    EXPECT_EQ(found->present, 2 * kBlockSize);
}

TEST_F(PrepopulateTest, ASizeWithinABlockIsKeptInTheAttributeOnly)
{
    auto filling = Prepopulation::begin(target(kBlockSize + 1));
    auto data = filled(2 * kBlockSize, 7);
    ASSERT_TRUE(filling->file()->write(0, data.bytes()).has_value());
    ASSERT_TRUE(filling->commit().has_value());
    EXPECT_EQ(fs::file_size(place()), 2 * kBlockSize);
    EXPECT_EQ(find_committed(dir_.path(), "erofs,dom0", "blob")->size, kBlockSize + 1);
}

TEST_F(PrepopulateTest, WhatIsNotCommittedIsRemoved)
{
    {
        auto filling = Prepopulation::begin(target());
        ASSERT_TRUE(filling.has_value()) << filling.error().text();
        EXPECT_EQ(private_files(), 1U);
    }
    EXPECT_EQ(private_files(), 0U);
    EXPECT_FALSE(fs::exists(place()));
    EXPECT_EQ(find_committed(dir_.path(), "erofs,dom0", "blob").error().kind(), ErrorKind::kNotFound);
}

TEST_F(PrepopulateTest, AFileThatIsThereIsNeverReplaced)
{
    populate();
    const auto before = fs::last_write_time(place());
    auto filling = Prepopulation::begin(target());
    auto data = filled(2 * kBlockSize, 8);
    ASSERT_TRUE(filling->file()->write(0, data.bytes()).has_value());
    const auto committed = filling->commit();
    ASSERT_FALSE(committed.has_value());
    EXPECT_EQ(committed.error().code(), EEXIST);
    EXPECT_EQ(fs::last_write_time(place()), before);
}

TEST_F(PrepopulateTest, AMovedFillingRemovesItsFileOnce)
{
    auto first = Prepopulation::begin(target());
    {
        const Prepopulation second{std::move(*first)};
        EXPECT_EQ(private_files(), 1U);
    }
    EXPECT_EQ(private_files(), 0U);
}

TEST_F(PrepopulateTest, KeysThatHurtTheKernelAreRefused)
{
    auto bad = target();
    bad.cookie = std::string(253, 'k');
    EXPECT_FALSE(Prepopulation::begin(bad).has_value());
    bad = target();
    bad.volume = "erofs,a/b";
    EXPECT_FALSE(Prepopulation::begin(bad).has_value());
    bad.volume = std::string(255, 'v');
    EXPECT_FALSE(Prepopulation::begin(bad).has_value());
}

TEST_F(PrepopulateTest, AVolumeWithAForeignAttributeIsNotTouched)
{
    const auto volume = dir_.path() / "cache" / "Ierofs,dom0";
    fs::create_directories(volume);
    set_attribute(volume, "else");
    auto filling = Prepopulation::begin(target());
    auto data = filled(2 * kBlockSize, 8);
    ASSERT_TRUE(filling->file()->write(0, data.bytes()).has_value());
    EXPECT_FALSE(filling->commit().has_value());
    EXPECT_EQ(attribute(volume), "else");
}

} // namespace
} // namespace sluice::protocol
