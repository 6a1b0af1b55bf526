// SPDX-License-Identifier: Apache-2.0
//
// What is looked at of an image's layers before it is registered.
#include "tests/unit/daemon/image_world.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>

namespace sluice::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class LayerInspection : public ImageWorld {};

TEST_F(LayerInspection, ABlobWhoseFirstBlockDoesNotMatchIsNotRegistered)
{
    start();
    for (const auto seed :
         {std::uint8_t{1}, std::uint8_t{2}}) { // blobs of their own, as a block that was proved is kept
        const auto device = test::add_layer(
            source, test::device_bytes(1, static_cast<unsigned char>(8 + seed)), "device"
        ); // a tree without levels
        const auto layer = test::add_layer(source, test::ErofsBytes{.devices = {1}, .seed = seed}.bytes());
        publish({device, layer});
        const auto name = (seed == 1 ? device : layer)["digest"].get<std::string>();
        source.tamper = [&](const Digest& blob, std::uint64_t offset, std::span<std::byte> bytes) {
            if (blob.to_string() == name && offset == 0) {
                bytes.front() ^= std::byte{1};
            }
        };
        const auto image = ensure();
        ASSERT_FALSE(image) << name;
        EXPECT_EQ(image.error().kind(), ErrorKind::kCorrupt);
        EXPECT_THAT(image.error().text(), HasSubstr(name));
        EXPECT_THAT(catalogue->entries(), SizeIs(0));
    }
}

TEST_F(LayerInspection, ADeviceWithAFalseRootIsNotRegistered)
{
    start();
    const auto device = test::add_layer(source, test::device_bytes(1, 9), "device", Digest{});
    publish({device, test::add_layer(source, test::ErofsBytes{.devices = {1}}.bytes())});
    const auto image = ensure();
    ASSERT_FALSE(image);
    EXPECT_THAT(image.error().text(), HasSubstr("device blob " + device["digest"].get<std::string>()));
}

TEST_F(LayerInspection, LayersAreLookedAtSideBySideAndNotAllAtOnce)
{
    start();
    std::vector<Json> layers;
    for (unsigned char seed = 1; seed <= 20; ++seed) {
        layers.push_back(test::add_layer(source, test::ErofsBytes{.seed = seed}.bytes()));
    }
    publish(layers);
    source.hold();
    std::optional<Result<cache::ImageRecord>> outcome;
    TaskScope scope{loop};

    struct Collect {
        static Task<void> into(std::optional<Result<cache::ImageRecord>>& out, Task<Result<cache::ImageRecord>> inner)
        {
            auto outcome = co_await inner;
            out.emplace(std::move(outcome));
        }
    };

    ImageService::Request request{name_of(), false, false};
    scope.spawn(Collect::into(outcome, images->ensure(std::move(request))));
    EXPECT_TRUE(test::run_until(loop, [&] { return source.running == 8; }));
    source.release();
    ASSERT_TRUE(test::run_until(loop, [&] { return outcome.has_value(); }));
    ASSERT_TRUE(*outcome) << outcome->error().text();
    EXPECT_EQ(source.most_running, 8U);
    for (std::size_t i = 0; i < layers.size(); ++i) {
        EXPECT_EQ((*outcome)->layers[i].blob.digest.to_string(), layers[i]["digest"].get<std::string>());
    }
}

TEST_F(LayerInspection, TheFirstFaultEndsTheRegistrationAndIsLoggedOnce)
{
    start();
    const auto good = test::add_layer(source, test::ErofsBytes{.seed = 1}.bytes());
    const auto bad = test::add_layer(source, test::ErofsBytes{.seed = 2}.bytes());
    publish({good, bad});
    fail_on("range " + bad["digest"].get<std::string>(), ErrorKind::kTransient);
    ::testing::internal::CaptureStderr();
    const auto image = ensure();
    const auto logged = ::testing::internal::GetCapturedStderr();
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().kind(), ErrorKind::kTransient);
    EXPECT_THAT(image.error().text(), AllOf(HasSubstr("layer " + bad["digest"].get<std::string>()), HasSubstr("told")));
    EXPECT_THAT(logged, AllOf(HasSubstr(name_of() + " is not registered: layer "), HasSubstr("failed as told")));
    EXPECT_EQ(std::ranges::count(logged, '\n'), 1);
    EXPECT_THAT(catalogue->entries(), SizeIs(0));
}

TEST_F(LayerInspection, WhatASuperblockSaysMustFitTheManifest)
{
    start();
    publish({test::add_layer(source, test::device_bytes(4, 1))}, "no-erofs");
    EXPECT_THAT(ensure("no-erofs").error().text(), HasSubstr("magic number"));
    publish({test::add_layer(source, test::ErofsBytes{.devices = {1}}.bytes())}, "no-device");
    EXPECT_THAT(ensure("no-device").error().text(), HasSubstr("refers to 1 device blobs, and the manifest has 0"));
    EXPECT_THAT(catalogue->entries(), SizeIs(0));
}

TEST_F(LayerInspection, DevicesMustFitTheDeviceTable)
{
    start();
    const auto small = test::add_layer(source, test::device_bytes(2, 8), "device");
    const auto large = test::add_layer(source, test::device_bytes(3, 9), "device");
    const auto layer = test::add_layer(source, test::ErofsBytes{.devices = {2, 3}}.bytes());
    publish({large, small, layer}, "swapped");
    ::testing::internal::CaptureStderr();
    const auto swapped = ensure("swapped");
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr(name_of("swapped") + " is not registered: layer"));
    ASSERT_FALSE(swapped);
    EXPECT_EQ(swapped.error().kind(), ErrorKind::kInvalid);
    EXPECT_THAT(
        swapped.error().text(),
        AllOf(
            HasSubstr("layer " + layer["digest"].get<std::string>()),
            HasSubstr("device 2 (" + small["digest"].get<std::string>() + ") has 8192 bytes")
        )
    );
    EXPECT_THAT(catalogue->entries(), SizeIs(0));
    publish({small, large, layer}, "right");
    EXPECT_TRUE(ensure("right"));
}

TEST_F(LayerInspection, ADeviceTableBehindTheFirstBlockIsProvedBeforeItIsRead)
{
    start();
    const auto device = test::add_layer(source, test::device_bytes(2, 8), "device");
    const auto layer = test::add_layer(source, test::ErofsBytes{.devices = {2}, .table_block = 3}.bytes());
    publish({device, layer});
    source.tamper = [&](const Digest& blob, std::uint64_t offset, std::span<std::byte> bytes) {
        if (blob.to_string() == layer["digest"].get<std::string>() && offset == 3 * kBlockSize) {
            bytes[65] ^= std::byte{1}; // the device's size
        }
    };
    EXPECT_EQ(ensure().error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(ensure().error().text(), HasSubstr("the block at offset 12288 does not match"));
    source.tamper = nullptr;
    EXPECT_TRUE(ensure());
}

} // namespace
} // namespace sluice::daemon
