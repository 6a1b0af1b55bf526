// SPDX-License-Identifier: Apache-2.0
#include "tools/image_spec.hpp"

#include <gtest/gtest.h>

namespace sluice::tools {

namespace {

Json layer(const std::string& name)
{
    return Json{{"digest", "sha256:" + name}, {"erofs_size", 4096U}, {"fsid", name}, {"mount_name", name}};
}

Result<ImageSpec> parse(Json layers)
{
    return parse_image_spec(Json{{"reference", "r"}, {"manifest_digest", "sha256:m"}, {"layers", std::move(layers)}});
}

Json with(Json object, const char* name, Json value)
{
    object[name] = std::move(value);
    return object;
}

std::vector<std::string> names(const ImageSpec& image)
{
    std::vector<std::string> out;
    for (const auto& spec : image.layers) {
        out.push_back(spec.mount_name);
    }
    return out;
}

} // namespace

TEST(ImageSpec, TakesAllThatTheKernelIsTold)
{
    auto full = layer("a");
    full["domain_id"] = "sluice";
    full["compressed"] = true;
    full["devices"] = {"d1", "d2"};
    full["role"] = "layer";
    const auto image = parse(Json::array({full}));
    ASSERT_TRUE(image) << image.error().text();
    EXPECT_EQ(image->reference, "r");
    EXPECT_EQ(image->manifest_digest, "sha256:m");
    ASSERT_EQ(image->layers.size(), 1U);
    const auto& spec = image->layers.front();
    EXPECT_EQ(spec.erofs_size, 4096U);
    EXPECT_EQ(spec.domain_id, "sluice");
    EXPECT_TRUE(spec.compressed);
    EXPECT_EQ(spec.devices, (std::vector<std::string>{"d1", "d2"}));
}

TEST(ImageSpec, SkipsDevicesAndRefusesDataOnlyLayers)
{
    const auto image = parse(Json::array({with(layer("d"), "role", "device"), layer("a")}));
    ASSERT_TRUE(image);
    EXPECT_EQ(names(*image), std::vector<std::string>{"a"});
    EXPECT_FALSE(parse(Json::array({with(layer("d"), "role", "overlay-data"), layer("a")})));
    EXPECT_FALSE(parse(Json::array({with(layer("d"), "role", "device")})));
}

TEST(ImageSpec, ARepeatedLayerCountsWhereItIsUppermost)
{
    const auto image = parse(Json::array({layer("a"), layer("b"), layer("a"), layer("c")}));
    ASSERT_TRUE(image);
    EXPECT_EQ(names(*image), (std::vector<std::string>{"b", "a", "c"}));
}

TEST(ImageSpec, RefusesNamesThatTheKernelStumblesOver)
{
    EXPECT_TRUE(parse(Json::array({with(layer("a"), "fsid", std::string(248, 'x'))})));
    EXPECT_FALSE(parse(Json::array({with(layer("a"), "fsid", std::string(249, 'x'))})));
    EXPECT_FALSE(parse(Json::array({with(layer("a"), "fsid", "a/b")})));
    EXPECT_FALSE(parse(Json::array({with(layer("a"), "fsid", "")})));
    EXPECT_FALSE(parse(Json::array({with(layer("a"), "domain_id", "a/b")})));
    EXPECT_FALSE(parse(Json::array({with(layer("a"), "devices", Json::array({std::string(253, 'x')}))})));
    EXPECT_TRUE(parse(Json::array({with(layer("a"), "devices", Json::array({std::string(252, 'x')}))})));
    EXPECT_FALSE(parse(Json::array({with(layer("a"), "devices", Json::array({7}))})));
    for (const char* name : {"", "..", ".lock", "a/b", "a:b", "a,b", "a b", "a\\b"}) {
        EXPECT_FALSE(parse(Json::array({with(layer("a"), "mount_name", name)}))) << name;
    }
}

TEST(ImageSpec, RefusesAnswersWithoutLayers)
{
    EXPECT_FALSE(parse_image_spec(Json{}));
    EXPECT_FALSE(parse_image_spec(Json{{"layers", 7}}));
    EXPECT_FALSE(parse(Json::array()));
    EXPECT_FALSE(parse(Json::array({7})));
    Json many = Json::array();
    for (int i = 0; i < 501; ++i) {
        many.push_back(layer(std::to_string(i)));
    }
    EXPECT_FALSE(parse(many));
}

} // namespace sluice::tools
