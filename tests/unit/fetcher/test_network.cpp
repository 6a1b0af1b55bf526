// SPDX-License-Identifier: Apache-2.0
#include "fetcher/network.hpp"
#include "fetcher/proxy.hpp"

#include <gtest/gtest.h>
#include <map>

namespace sluice::fetcher {
namespace {

TEST(NetworkOf, SaysWhatPartOfTheNetworkAnAddressIsIn)
{
    using enum Network;
    const std::pair<const char*, Network> kCases[] = {
        {"192.0.2.1", kPublic},
        {"1.1.1.1", kPublic},
        {"172.32.0.1", kPublic},
        {"100.128.0.1", kPublic},
        {"2001:db8::1", kPublic},
        {"10.0.0.1", kPrivate},
        {"172.16.0.1", kPrivate},
        {"172.31.255.255", kPrivate},
        {"192.168.1.1", kPrivate},
        {"100.64.0.1", kPrivate},
        {"fd12::1", kPrivate},
        {"fc00::1", kPrivate},
        {"fec0::1", kPrivate},
        {"64:ff9b:1::1", kPrivate},
        {"169.254.169.254", kLinkLocal},
        {"100.100.100.200", kLinkLocal},
        {"192.0.0.192", kLinkLocal},
        {"fe80::1", kLinkLocal},
        {"fe80::1%eth0", kLinkLocal},
        {"fd00:ec2::254", kLinkLocal},
        {"ff02::1", kLinkLocal},
        {"224.0.0.1", kLinkLocal},
        {"255.255.255.255", kLinkLocal},
        {"127.0.0.1", kLoopback},
        {"127.9.9.9", kLoopback},
        {"0.0.0.0", kLoopback},
        {"::1", kLoopback},
        {"::", kLoopback},
        {"[::1]", kLoopback},
        {"::ffff:127.0.0.1", kLoopback},
        {"::ffff:10.0.0.1", kPrivate},
        {"::ffff:169.254.169.254", kLinkLocal},
        {"::ffff:192.0.2.1", kPublic},
        {"::10.0.0.1", kPrivate},
        {"64:ff9b::10.0.0.1", kPrivate},
        {"64:ff9b::192.0.2.1", kPublic},
        {"2002:0a00:0001::1", kPrivate},
        {"2002:c000:0201::1", kPublic},
    };
    for (const auto& [text, network] : kCases) {
        EXPECT_EQ(network_of_literal(text), network) << text;
    }
}

TEST(NetworkOf, ANameIsNoAddressWhateverItBeginsWith)
{
    for (const auto* name : {"127.evil.example", "127.0.0.1.evil.example", "localhost", "10.0.0.1x", "", "fe80"}) {
        EXPECT_FALSE(network_of_literal(name)) << name;
    }
}

TEST(NetworkOf, AServerMayLeadToWhereItIsItselfAndToThePublic)
{
    using enum Network;
    for (const auto from : {kPublic, kPrivate, kLinkLocal, kLoopback}) {
        EXPECT_TRUE(may_lead_to(from, kPublic));
        EXPECT_TRUE(may_lead_to(from, from));
        EXPECT_EQ(may_lead_to(from, kLinkLocal), from == kLinkLocal);
        EXPECT_EQ(may_lead_to(from, kLoopback), from == kLoopback);
    }
    EXPECT_FALSE(may_lead_to(kPublic, kPrivate));
    EXPECT_TRUE(may_lead_to(kLoopback, kPrivate));
}

std::string choose(const std::map<std::string, std::string>& variables, const std::string& url)
{
    const ProxySettings settings{[&](const char* name) {
        const auto it = variables.find(name);
        return it == variables.end() ? nullptr : it->second.c_str();
    }};
    return settings.choose(*origin_of(url));
}

TEST(Proxy, IsChosenByScheme)
{
    EXPECT_EQ(choose({}, "http://a.example/"), "");
    EXPECT_EQ(choose({{"http_proxy", "p:1"}}, "http://a.example/"), "p:1");
    EXPECT_EQ(choose({{"http_proxy", "p:1"}}, "https://a.example/"), "");
    EXPECT_EQ(choose({{"HTTP_PROXY", "p:1"}}, "http://a.example/"), "") << "a CGI client's word";
    EXPECT_EQ(choose({{"HTTPS_PROXY", "p:1"}}, "https://a.example/"), "p:1");
    EXPECT_EQ(choose({{"https_proxy", "p:1"}, {"HTTPS_PROXY", "p:2"}}, "https://a.example/"), "p:1");
    EXPECT_EQ(choose({{"all_proxy", "p:1"}}, "https://a.example/"), "p:1");
}

TEST(Proxy, IsNotAskedForThisMachineButForNamesThatLookLikeIt)
{
    const std::map<std::string, std::string> all{{"all_proxy", "p:1"}};
    for (const auto* url :
         {"http://127.0.0.1:5000/", "http://127.1/", "http://[::1]:5000/", "http://localhost:5000/"}) {
        EXPECT_EQ(choose(all, url), "") << url;
    }
    for (const auto* url : {"http://127.evil.example/", "http://localhost.evil.example/", "http://10.0.0.1/"}) {
        EXPECT_EQ(choose(all, url), "p:1") << url;
    }
}

TEST(Proxy, IsNotAskedForWhatNoProxyNames)
{
    const auto exempt = [](const char* list, const char* url) {
        return choose({{"all_proxy", "p:1"}, {"no_proxy", list}}, url).empty();
    };
    EXPECT_TRUE(exempt("*", "https://a.example/"));
    EXPECT_TRUE(exempt("b.example, a.example", "https://a.example/"));
    EXPECT_TRUE(exempt("A.Example", "https://sub.a.example/"));
    EXPECT_TRUE(exempt(".a.example", "https://a.example/"));
    EXPECT_FALSE(exempt("a.example", "https://xa.example/"));
    EXPECT_FALSE(exempt("", "https://a.example/"));
    EXPECT_TRUE(exempt("10.0.0.0/8", "https://10.1.2.3/"));
    EXPECT_TRUE(exempt("192.0.2.7", "https://192.0.2.7/"));
    EXPECT_FALSE(exempt("10.0.0.0/9", "https://10.129.0.1/"));
    EXPECT_TRUE(exempt("fd00::/8", "https://[fd12::1]/"));
    EXPECT_FALSE(exempt("2.7", "https://192.0.2.7/")) << "addresses have no domains";
    EXPECT_FALSE(exempt("10.0.0.0/99", "https://10.0.0.1/"));
}

} // namespace
} // namespace sluice::fetcher
