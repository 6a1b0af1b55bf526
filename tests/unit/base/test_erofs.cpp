// SPDX-License-Identifier: Apache-2.0
#include "base/erofs.hpp"
#include "base/text.hpp"
#include "tests/support/temp_dir.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace sluice::erofs {
namespace {

using ::testing::HasSubstr;

/// Runs the real mkfs.erofs over a small tree and returns the image's first block.
std::vector<std::byte> make_image(const test::TempDir& dir, const std::string& options)
{
    (void)dir.write("tree/file", std::string(70'000, 'x'));
    const auto image = dir.path() / "image";
    const auto command =
        fmt::format("mkfs.erofs --quiet {} {} {}", options, image.string(), (dir.path() / "tree").string());
    EXPECT_EQ(std::system(command.c_str()), 0) << command; // NOLINT(concurrency-mt-unsafe, cert-env33-c)
    std::vector<std::byte> block(4096);
    std::ifstream file{image, std::ios::binary};
    file.read(static_cast<char*>(static_cast<void*>(block.data())), 4096);
    EXPECT_TRUE(file);
    return block;
}

TEST(ErofsSuperblock, ReadsAPlainImage)
{
    const test::TempDir dir;
    const auto superblock = parse_superblock(make_image(dir, "-x-1"));
    ASSERT_TRUE(superblock) << superblock.error().text();
    EXPECT_EQ(superblock->block_size, 4096U);
    EXPECT_EQ(superblock->size, std::filesystem::file_size(dir.path() / "image"));
    EXPECT_FALSE(superblock->compressed);
    EXPECT_EQ(superblock->extra_devices, 0U);
}

TEST(ErofsSuperblock, SeesCompression)
{
    const test::TempDir dir;
    const auto superblock = parse_superblock(make_image(dir, "-zlz4hc"));
    ASSERT_TRUE(superblock) << superblock.error().text();
    EXPECT_TRUE(superblock->compressed);
}

TEST(ErofsSuperblock, CountsExtraDevices)
{
    const test::TempDir dir;
    const auto options = fmt::format("--chunksize=4096 --blobdev={}", (dir.path() / "blob").string());
    const auto superblock = parse_superblock(make_image(dir, options));
    ASSERT_TRUE(superblock) << superblock.error().text();
    EXPECT_EQ(superblock->extra_devices, 1U);
    EXPECT_FALSE(superblock->compressed);
}

TEST(ErofsSuperblock, RefusesWhatIsNone)
{
    std::vector<std::byte> block(4096);
    EXPECT_THAT(parse_superblock(block).error().text(), HasSubstr("magic"));
    block.resize(1100);
    EXPECT_THAT(parse_superblock(block).error().text(), HasSubstr("1100 bytes"));
}

TEST(ErofsSuperblock, RefusesBlockSizesThatCannotBe)
{
    const test::TempDir dir;
    auto block = make_image(dir, "");
    block[1024 + 12] = std::byte{40};
    EXPECT_THAT(parse_superblock(block).error().text(), HasSubstr("2^40"));
}

/// A front with a superblock of ten blocks and a table of two devices in slot 9, behind it.
class DeviceTableTest : public ::testing::Test {
protected:
    DeviceTableTest()
    {
        put(1024, 0xe0f5e1e2, 4);
        put(1036, 12, 1);
        put(1060, 10, 4);
        put(1104, 0x8, 4);
        put(1110, 2, 2);
        put(1112, 9, 2);
    }

    void put(std::size_t at, std::uint64_t value, std::size_t size)
    {
        for (std::size_t i = 0; i < size; ++i) {
            front_[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
        }
    }

    /// Slot 0 or 1.
    void set_slot(std::size_t index, std::string_view tag, std::uint64_t blocks)
    {
        const auto at = 1152 + index * 128;
        std::copy_n(as_byte_span(tag).begin(), tag.size(), front_.begin() + static_cast<std::ptrdiff_t>(at));
        put(at + 64, blocks, 4);
    }

    [[nodiscard]] std::vector<DeviceSlot> slots() const
    {
        const auto superblock = parse_superblock(front_);
        EXPECT_TRUE(superblock) << superblock.error().text();
        EXPECT_EQ(superblock->device_table, (ByteRange{1152, 1408}));
        const auto table = parse_device_table(*superblock, std::span{front_}.subspan(1152, 256));
        EXPECT_TRUE(table) << table.error().text();
        return *table;
    }

    [[nodiscard]] std::string refusal(std::vector<Device> devices, UnknownTag unknown = UnknownTag::kAccept) const
    {
        const auto checked = check_devices(slots(), devices, unknown);
        return checked ? "accepted" : checked.error().text();
    }

    static Digest digest(char digit) { return *Digest::parse_hex(std::string(64, digit)); }

    std::vector<std::byte> front_ = std::vector<std::byte>(4096);
    Device a_{"a", 8192, {digest('a')}, std::nullopt};
    Device b_{"b", 12288, {digest('b')}, std::nullopt};
};

TEST_F(DeviceTableTest, ATableOutsideTheImageOrOverTheSuperblockIsInvalid)
{
    for (const auto& [slot, count] : {std::pair{8, 1}, {9, 312}, {0xffff, 1}}) {
        put(1112, static_cast<std::uint64_t>(slot), 2);
        put(1110, static_cast<std::uint64_t>(count), 2);
        const auto superblock = parse_superblock(front_);
        ASSERT_FALSE(superblock) << slot;
        EXPECT_THAT(superblock.error().text(), HasSubstr("outside the image"));
    }
    put(1112, 9, 2);
    put(1110, 311, 2); // up to the tenth block's end
    const auto superblock = parse_superblock(front_);
    ASSERT_TRUE(superblock) << superblock.error().text();
    EXPECT_THAT(parse_device_table(*superblock, front_).error().text(), HasSubstr("cut short"));
}

TEST_F(DeviceTableTest, WithoutTheFeatureBitThereAreNoDevicesAsForTheKernel)
{
    put(1104, 0, 4);
    const auto superblock = parse_superblock(front_);
    ASSERT_TRUE(superblock);
    EXPECT_EQ(superblock->extra_devices, 0U);
    EXPECT_TRUE(superblock->device_table.empty());
}

TEST_F(DeviceTableTest, ReadsTagsAndSizes)
{
    set_slot(0, std::string(64, 'a'), 2);
    set_slot(1, "", 3);
    const auto table = slots();
    ASSERT_EQ(table.size(), 2U);
    EXPECT_EQ(table[0].tag_digest(), digest('a'));
    EXPECT_EQ(table[0].size, 8192U);
    EXPECT_FALSE(table[1].has_tag());
    EXPECT_FALSE(table[1].tag_digest());
    EXPECT_FALSE(table[1].is_tagged(Uuid{})) << "no tag is no UUID of zeros";
    EXPECT_EQ(table[1].size, 12288U);
}

TEST_F(DeviceTableTest, AShortDeviceIsRefusedAndSoAreDevicesOfDifferentSizesThatAreSwapped)
{
    set_slot(0, "", 2);
    set_slot(1, "", 3);
    EXPECT_EQ(refusal({a_, b_}), "accepted");
    EXPECT_EQ(refusal({b_, b_}), "accepted") << "longer than its slot is no harm";
    EXPECT_THAT(refusal({b_, a_}), HasSubstr("device 2 (a) has 8192 bytes, and the device table gives it 12288"));
    EXPECT_THAT(refusal({a_}), HasSubstr("2 extra devices, and there is 1"));
}

TEST_F(DeviceTableTest, TagsTellDevicesOfOneSizeApart)
{
    b_.size = a_.size;
    EXPECT_EQ(refusal({b_, a_}), "accepted") << "nothing tells";
    EXPECT_EQ(find_exchangeable(slots(), std::vector{a_, b_}), (std::pair<std::size_t, std::size_t>{0, 1}));
    set_slot(0, std::string(64, 'a'), 2);
    set_slot(1, std::string(64, 'b'), 2);
    EXPECT_EQ(refusal({a_, b_}), "accepted");
    EXPECT_FALSE(find_exchangeable(slots(), std::vector{a_, b_}));
    EXPECT_THAT(refusal({b_, a_}), HasSubstr("device 1 (b) stands where the device table has device 2 (a)"));
}

TEST_F(DeviceTableTest, AnEROFSImageAsADeviceIsKnownByItsUuid)
{
    const std::string tag = "0123456789abcdef"; // 16 bytes
    set_slot(0, tag, 0);
    a_.uuid.emplace();
    std::copy_n(as_byte_span(tag).begin(), 16, a_.uuid->begin());
    EXPECT_EQ(refusal({a_, b_}), "accepted");
    EXPECT_THAT(refusal({b_, a_}), HasSubstr("device 1 (b) stands where"));
}

TEST_F(DeviceTableTest, ATagOfNobodyIsRefusedOnDemandOnly)
{
    set_slot(0, std::string(64, 'c'), 2);
    EXPECT_EQ(refusal({a_, b_}), "accepted");
    EXPECT_THAT(refusal({a_, b_}, UnknownTag::kRefuse), HasSubstr("device 1 (a) is not the device"));
}

} // namespace
} // namespace sluice::erofs
