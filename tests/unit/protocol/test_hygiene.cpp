// SPDX-License-Identifier: Apache-2.0
#include "protocol/hygiene.hpp"
#include "tests/unit/protocol/cache_file_fixture.hpp"

#include <array>
#include <fcntl.h>
#include <filesystem>
#include <span>
#include <sys/xattr.h>
#include <unistd.h>

namespace sluice::protocol {
namespace {

namespace fs = std::filesystem;

class HygieneTest : public CacheFileTest {
protected:
    /// As an unclean stop has it done, file by file.
    [[nodiscard]] static HygieneReport put_in_order(const fs::path& cache)
    {
        const Hygiene hygiene{cache, cache / "private"};
        auto report = hygiene.make_mountable();
        for (const auto& directory : hygiene.directories(report)) {
            for (const auto& file : Hygiene::files(directory, report)) {
                report.add(Hygiene::look(file));
            }
        }
        return report;
    }
};

TEST_F(HygieneTest, KeepsWhatIsInOrder)
{
    populate();
    const auto report = put_in_order(dir_.path());
    EXPECT_EQ(report.kept, 1U);
    EXPECT_TRUE(report.removed.empty());
    EXPECT_TRUE(report.problems.empty());
    EXPECT_TRUE(fs::exists(place()));
}

TEST_F(HygieneTest, RemovesWhatWouldFailMountsForEver)
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
    const auto report = put_in_order(dir_.path());
    EXPECT_EQ(report.kept, 1U);
    EXPECT_EQ(report.removed.size(), 5U);
    EXPECT_TRUE(fs::is_directory(dir_.path() / "graveyard/unsound-1")) << "deleting it is left to workers";
    for (const auto& path : {without, dirty, longer, volume, other}) {
        EXPECT_FALSE(fs::exists(path)) << path;
    }
    EXPECT_TRUE(fs::exists(place()));
}

TEST_F(HygieneTest, EmptiesTheGraveyardAndLeavesOtherThingsAlone)
{
    (void)dir_.write("graveyard/0001/@00/Dx", "x");
    (void)dir_.write("graveyard/0002", "x");
    const auto stranger = dir_.write("cache/README", "not ours");
    EXPECT_TRUE(put_in_order(dir_.path()).removed.empty());
    EXPECT_TRUE(fs::exists(dir_.path() / "graveyard/0002"));
    EXPECT_EQ(Hygiene(dir_.path(), dir_.path() / "private").empty_graveyard().removed.size(), 2U);
    EXPECT_TRUE(fs::is_empty(dir_.path() / "graveyard"));
    EXPECT_TRUE(fs::exists(stranger));
}

// As a power cut leaves it between the allocation of blocks and the note that they are written.
TEST_F(HygieneTest, MakesHolesOfWhatWasNeverWritten)
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
    const auto report = put_in_order(dir_.path());
    EXPECT_EQ(report.punched, expected.size() * kBlockSize);
    EXPECT_EQ(report.problems, std::vector<std::string>{});
    EXPECT_EQ(::lseek(fd.get(), kBlockSize, SEEK_DATA), 2 * kBlockSize);
    EXPECT_EQ(*filling->file()->missing({0, bytes.size()}), expected);
    EXPECT_EQ(put_in_order(dir_.path()).punched, 0U);
}

TEST_F(HygieneTest, RemovesFilesThatNeverGotTheirName)
{
    populate();
    const auto half_made = dir_.write("private/fill-abc123", "x");
    const Hygiene hygiene{dir_.path(), dir_.path() / "private"};
    EXPECT_TRUE(hygiene.make_mountable().problems.empty());
    EXPECT_FALSE(fs::exists(half_made));
    EXPECT_TRUE(fs::exists(place()));
}

TEST_F(HygieneTest, AnEmptyVolumeGetsItsAttributeAndIsNotTakenFromAKernelThatIsMakingIt)
{
    const auto volume = dir_.path() / "cache" / "Ierofs,new";
    fs::create_directories(volume);
    EXPECT_TRUE(put_in_order(dir_.path()).removed.empty());
    std::array<std::byte, 64> value{};
    const auto length = ::lgetxattr(volume.c_str(), kCacheXattr, value.data(), value.size());
    ASSERT_EQ(length, 4);
    EXPECT_TRUE(check_volume_xattr(std::span<const std::byte>{value}.first(4)));
}

TEST_F(HygieneTest, WhatWasBuriedDoesNotTakeTheGraveOfAnother)
{
    for (const auto* name : {"cache/Ione/@00/Da", "cache/Itwo/@00/Db"}) {
        (void)dir_.write(name, name);
        (void)put_in_order(dir_.path());
    }
    EXPECT_TRUE(fs::exists(dir_.path() / "graveyard/unsound-0/@00/Da"));
    EXPECT_TRUE(fs::exists(dir_.path() / "graveyard/unsound-1/@00/Db"));
}

TEST_F(HygieneTest, AFileIsLookedAtAlone)
{
    populate();
    const auto other = dir_.write(fs::relative(place().parent_path() / "Dother", dir_.path()), "x");
    EXPECT_EQ(Hygiene::look(place()).kept, 1U);
    EXPECT_TRUE(fs::exists(other)) << "which is without an attribute, and was not asked for";
    EXPECT_EQ(Hygiene::look(other).removed, std::vector{other});
    const auto gone = Hygiene::look(other);
    EXPECT_TRUE(gone.removed.empty() && gone.problems.empty() && gone.kept == 0);
}

TEST_F(HygieneTest, AFileIsLookedAtAgainWhenItCouldNotBePutInOrder)
{
    populate();
    const auto moved = dir_.path() / "elsewhere";
    fs::rename(place(), moved);
    fs::create_directory(place()); // which cannot be opened for writing
    const auto value = encode_file_xattr(kBlockSize);
    set_attribute(place(), {reinterpret_cast<const char*>(value.data()), value.size()});
    EXPECT_FALSE(Hygiene::look(place()).problems.empty());
    fs::remove(place());
    fs::rename(moved, place());
    const auto again = Hygiene::look(place());
    EXPECT_TRUE(again.problems.empty());
    EXPECT_EQ(again.kept, 1U);
}

TEST_F(HygieneTest, NothingIsInOrder)
{
    const auto report = put_in_order(dir_.path() / "absent");
    EXPECT_TRUE(report.problems.empty());
    EXPECT_EQ(report.kept, 0U);
}

} // namespace
} // namespace sluice::protocol
