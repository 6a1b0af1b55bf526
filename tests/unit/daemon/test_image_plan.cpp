// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/image_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

Digest digest_of(unsigned char value)
{
    Digest::Bytes bytes{};
    bytes.fill(static_cast<std::byte>(value));
    return Digest{bytes};
}

fetcher::Descriptor layer(unsigned char value, std::string role = {})
{
    fetcher::Descriptor descriptor;
    descriptor.media_type = role == "device" ? "application/octet-stream" : "application/vnd.erofs";
    descriptor.digest = digest_of(value);
    descriptor.size = 8 * kBlockSize + kBlockSize; // eight blocks and one hash block
    descriptor.annotations = {
        {"org.erofs.dmverity.hash_offset", "32768"},
        {"org.erofs.dmverity.root_digest", digest_of(0xee).to_string()},
        {"org.erofs.dmverity.block_size", "4096"},
    };
    if (!role.empty()) {
        descriptor.annotations["org.erofs.role"] = role;
    }
    return descriptor;
}

Result<std::vector<PlannedLayer>> plan(std::vector<fetcher::Descriptor> layers)
{
    fetcher::ResolvedManifest resolved;
    resolved.repository = "registry.test/app";
    resolved.manifest.layers = std::move(layers);
    return plan_image(resolved);
}

TEST(ImagePlan, KeepsLayersInOrderWithWhatIsKnownOfThem)
{
    const auto layers = plan({layer(1), layer(2)});
    ASSERT_TRUE(layers) << layers.error().text();
    ASSERT_THAT(*layers, SizeIs(2));
    const auto& first = layers->front().blob;
    EXPECT_EQ(first.digest, digest_of(1));
    EXPECT_EQ(first.erofs_size, 32768U);
    EXPECT_EQ(first.tree_offset, 32768U);
    EXPECT_EQ(first.blob_size, 36864U);
    EXPECT_EQ(first.root, digest_of(0xee));
    EXPECT_THAT(first.repositories, ::testing::ElementsAre("registry.test/app"));
}

TEST(ImagePlan, DevicesBelongToTheNextLayerThatIsNone)
{
    const auto layers = plan({layer(1, "device"), layer(2, "device"), layer(3), layer(4)});
    ASSERT_TRUE(layers) << layers.error().text();
    ASSERT_THAT(*layers, SizeIs(2));
    ASSERT_THAT(layers->front().devices, SizeIs(2));
    EXPECT_EQ(layers->front().devices[1].digest, digest_of(2));
    EXPECT_THAT(layers->back().devices, SizeIs(0));
}

TEST(ImagePlan, ADeviceThatNobodyUsesIsAFault)
{
    EXPECT_THAT(plan({layer(1), layer(2, "device")}).error().text(), HasSubstr("no EROFS layer follows"));
}

TEST(ImagePlan, SkipsStandaloneChunkIndexes)
{
    auto index = layer(9);
    index.media_type = "application/vnd.erofs.chunk-index.v1";
    const auto layers = plan({layer(1), index});
    ASSERT_TRUE(layers);
    EXPECT_THAT(*layers, SizeIs(1));
}

TEST(ImagePlan, NamesTheLayerAndTheReasonOfWhatItRefuses)
{
    auto tar = layer(1);
    tar.media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    EXPECT_THAT(plan({tar}).error().text(), AllOf(HasSubstr("layer 1"), HasSubstr("tar+gzip")));

    auto unproved = layer(2);
    unproved.annotations.clear();
    EXPECT_THAT(plan({layer(1), unproved}).error().text(), AllOf(HasSubstr("layer 2"), HasSubstr("root_digest")));

    auto too_long = layer(3);
    too_long.size = 32768; // no room for the tree
    EXPECT_FALSE(plan({too_long}));

    EXPECT_THAT(plan({layer(1, "overlay-data")}).error().text(), HasSubstr("data-only"));
    EXPECT_THAT(plan({}).error().text(), HasSubstr("no EROFS layer"));
    EXPECT_EQ(plan({}).error().kind(), ErrorKind::kUnsupported);
}

} // namespace
} // namespace sluice::daemon
