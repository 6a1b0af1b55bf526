// SPDX-License-Identifier: Apache-2.0
#include "base/json.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <string>

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kMost = 4096;

std::string fault_of(const std::string& text)
{
    const auto parsed = parse_json(text, "the manifest", kMost);
    return parsed ? "none" : parsed.error().text();
}

std::string arrays(std::size_t depth)
{
    return std::string(depth, '[') + std::string(depth, ']');
}

TEST(ParseJson, YieldsWhatTheDocumentSays)
{
    const auto parsed = parse_json(R"({"a": [1, -2, 2.5, true, null], "b": {"c": "d"}, "a2": {"c": "e"}})", "x", kMost);
    ASSERT_TRUE(parsed) << parsed.error().text();
    EXPECT_EQ(*parsed, Json::parse(R"({"a": [1, -2, 2.5, true, null], "b": {"c": "d"}, "a2": {"c": "e"}})"));
}

TEST(ParseJson, NamesTheDocumentAndThePlaceWhereItIsNoJson)
{
    EXPECT_EQ(fault_of(R"({"a": 1,})"), "the manifest: not valid JSON at byte 9");
    for (const auto* text : {"", "{", "[1]2", "\"\xff\"", "{'a': 1}", "// c\n1", "nul"}) {
        EXPECT_THAT(fault_of(text), HasSubstr("the manifest: not valid JSON at byte")) << text;
    }
}

TEST(ParseJson, RefusesANameThatStandsTwiceInOneObjectAtAnyDepth)
{
    EXPECT_THAT(fault_of(R"({"a": 1, "b": 2, "a": 1})"), HasSubstr(R"("a" stands twice)"));
    EXPECT_THAT(fault_of(R"([{"x": {"a": 1, "a": 2}}])"), HasSubstr(R"("a" stands twice)"));
    EXPECT_THAT(fault_of(R"({"a": {"b": 1}, "a": 2})"), HasSubstr(R"("a" stands twice)"));
    EXPECT_THAT(fault_of("{\"a\": 1, \"\\u0061\": 2}"), HasSubstr(R"("a" stands twice)"));
    EXPECT_EQ(fault_of(R"([{"a": 1}, {"a": 1, "b": {"a": 1}}])"), "none");
}

TEST(ParseJson, StopsAtTheFirstFault)
{
    // Were the rest read, it would be what the text tells of.
    EXPECT_THAT(fault_of(R"({"a": 1, "a": 2, "b": 3, "b": 4})"), HasSubstr(R"("a" stands twice)"));
    EXPECT_THAT(fault_of(R"({"a": 1, "a": 2, this is no JSON)"), HasSubstr(R"("a" stands twice)"));
    EXPECT_THAT(fault_of(arrays(33) + "this is no JSON"), HasSubstr("nested deeper"));
}

TEST(ParseJson, Allows32Levels)
{
    EXPECT_EQ(fault_of(arrays(32)), "none");
    EXPECT_EQ(fault_of(arrays(33)), "the manifest: nested deeper than 32 levels");
    EXPECT_EQ(fault_of(std::string(2000, '[')), "the manifest: nested deeper than 32 levels");
}

TEST(ParseJson, CountsTheBytesBeforeItReadsThem)
{
    EXPECT_EQ(fault_of('"' + std::string(kMost - 2, 'x') + '"'), "none");
    EXPECT_EQ(fault_of(std::string(kMost + 1, '[')), "the manifest: 4097 bytes of JSON, more than the 4096 allowed");
}

TEST(JsonMember, OfAnotherTypeOrMissingIsNothing)
{
    const Json value = {{"text", "t"}, {"number", 1}};
    ASSERT_NE(json_string(value, "text"), nullptr);
    EXPECT_EQ(*json_string(value, "text"), "t");
    EXPECT_EQ(json_string(value, "number"), nullptr);
    EXPECT_EQ(json_string(value, "missing"), nullptr);
    ASSERT_NE(json_member(value, "number"), nullptr);
    EXPECT_EQ(*json_member(value, "number"), 1);
    EXPECT_EQ(json_member(Json::array({1}), "number"), nullptr);
    EXPECT_EQ(json_member(Json{}, "number"), nullptr);
}

} // namespace
} // namespace sluice
