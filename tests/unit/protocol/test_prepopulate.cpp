// SPDX-License-Identifier: Apache-2.0
#include "protocol/cookie_path.hpp"
#include "protocol/prepopulate.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace sluice::protocol {
namespace {

namespace fs = std::filesystem;

class PrepopulateTest : public test::FdLeakTest {
protected:
    [[nodiscard]] Prepopulation::Target target(std::uint64_t size = 2 * kBlockSize) const
    {
        return {dir_.path(), dir_.path() / "private", "erofs,dom0", "blob", size};
    }

    [[nodiscard]] fs::path place() const { return dir_.path() / cookie_path("erofs,dom0", "blob"); }

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

    void set_attribute(const fs::path& path, const std::string& value)
    {
        ASSERT_EQ(::lsetxattr(path.c_str(), kCacheXattr, value.data(), value.size(), 0), 0);
    }

    void populate()
    {
        auto filling = Prepopulation::begin(target());
        ASSERT_TRUE(filling.has_value()) << filling.error().text();
        auto data = filled(2 * kBlockSize, 7);
        ASSERT_TRUE(filling->file()->write(0, data.bytes()).has_value());
        const auto committed = filling->commit();
        ASSERT_TRUE(committed.has_value()) << committed.error().text();
    }

    test::TempDir dir_;
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

TEST_F(PrepopulateTest, HygieneKeepsWhatIsInOrder)
{
    populate();
    const auto report = startup_hygiene(dir_.path());
    EXPECT_EQ(report.kept, 1U);
    EXPECT_TRUE(report.removed.empty());
    EXPECT_TRUE(report.problems.empty());
    EXPECT_TRUE(fs::exists(place()));
}

TEST_F(PrepopulateTest, HygieneRemovesWhatWouldFailMountsForEver)
{
    populate();
    const auto fan = place().parent_path();
    const auto without = dir_.write(fs::relative(fan / "Dwithout", dir_.path()), "x");
    const auto dirty = dir_.write(fs::relative(fan / "Ddirty", dir_.path()), "x");
    set_attribute(dirty, std::string(18, '\4'));
    const auto longer = dir_.write(fs::relative(fan / "Dlonger", dir_.path()), "x");
    set_attribute(longer, std::string(100, '\1'));
    const auto volume = dir_.path() / "cache" / "Ierofs,crashed";
    fs::create_directories(volume / "@00");
    const auto other = dir_.path() / "cache" / "Ierofs,other";
    fs::create_directories(other);
    set_attribute(other, std::string(4, '\1'));
    const auto report = startup_hygiene(dir_.path());
    EXPECT_EQ(report.kept, 1U);
    EXPECT_EQ(report.removed.size(), 5U);
    for (const auto& path : {without, dirty, longer, volume, other}) {
        EXPECT_FALSE(fs::exists(path)) << path;
    }
    EXPECT_TRUE(fs::exists(place()));
}

TEST_F(PrepopulateTest, HygieneEmptiesTheGraveyardAndLeavesOtherThingsAlone)
{
    (void)dir_.write("graveyard/0001/@00/Dx", "x");
    (void)dir_.write("graveyard/0002", "x");
    const auto stranger = dir_.write("cache/README", "not ours");
    const auto report = startup_hygiene(dir_.path());
    EXPECT_EQ(report.buried, 2U);
    EXPECT_TRUE(fs::is_empty(dir_.path() / "graveyard"));
    EXPECT_TRUE(fs::exists(stranger));
}

// As a power cut leaves it between the allocation of blocks and the note that they are written.
TEST_F(PrepopulateTest, HygieneMakesHolesOfWhatWasNeverWritten)
{
    constexpr std::uint64_t kBlocks = 200;
    auto filling = Prepopulation::begin(target(kBlocks * kBlockSize));
    ASSERT_TRUE(filling.has_value()) << filling.error().text();
    const auto data = filled(kBlockSize, 7);
    std::vector<ByteRange> expected;
    for (std::uint64_t block = 0; block < kBlocks; block += 2) { // more extents than are asked for at once
        const auto hole = ByteRange{(block + 1) * kBlockSize, (block + 2) * kBlockSize};
        ASSERT_TRUE(filling->file()->write(block * kBlockSize, data.bytes()).has_value());
        ASSERT_EQ(::fallocate(filling->file()->fd(), 0, static_cast<off_t>(hole.begin()), kBlockSize), 0);
        expected.push_back(hole);
    }
    ASSERT_TRUE(filling->commit().has_value());
    const UniqueFd fd{kAdoptFd, ::open(place().c_str(), O_RDWR | O_CLOEXEC)};
    std::string bytes(kBlocks * kBlockSize, '?');
    ASSERT_EQ(::pread(fd.get(), bytes.data(), bytes.size(), 0), std::ssize(bytes)); // zeros are in memory now
    EXPECT_EQ(::lseek(fd.get(), kBlockSize, SEEK_DATA), kBlockSize) << "so the kernel would take them for data";
    EXPECT_EQ(*filling->file()->missing({0, bytes.size()}), expected) << "while we know better";
    const auto report = startup_hygiene(dir_.path());
    EXPECT_EQ(report.punched, expected.size() * kBlockSize);
    EXPECT_EQ(report.problems, std::vector<std::string>{});
    EXPECT_EQ(::lseek(fd.get(), kBlockSize, SEEK_DATA), 2 * kBlockSize);
    EXPECT_EQ(*filling->file()->missing({0, bytes.size()}), expected);
    EXPECT_EQ(startup_hygiene(dir_.path()).punched, 0U);
}

TEST_F(PrepopulateTest, HygieneOfNothingIsInOrder)
{
    const auto report = startup_hygiene(dir_.path() / "absent");
    EXPECT_TRUE(report.problems.empty());
    EXPECT_EQ(report.kept + report.buried, 0U);
}

} // namespace
} // namespace sluice::protocol
