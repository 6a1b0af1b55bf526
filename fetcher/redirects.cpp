// SPDX-License-Identifier: Apache-2.0
#include "fetcher/redirects.hpp"

#include "base/text.hpp"
#include "fetcher/url.hpp"

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <fmt/format.h>
#include <string_view>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr milliseconds kUnknownLifetime{300'000};
constexpr std::uint64_t kMaxSeconds = 7 * 86'400;
constexpr std::size_t kMaxEntries = 4096;

/// "20260102T030405Z" or "2026-01-02T03:04:05Z", UTC.
std::optional<std::time_t> parse_time(std::string_view text)
{
    std::string digits;
    for (const char c : text) {
        if (c >= '0' && c <= '9') {
            digits.push_back(c);
        } else if (c != '-' && c != ':' && c != 'T' && c != 'Z') {
            return std::nullopt;
        }
    }
    if (digits.size() != 14 || !text.ends_with('Z')) {
        return std::nullopt;
    }
    const auto number = [&digits](std::size_t at, std::size_t length) {
        return static_cast<int>(parse_u64(std::string_view{digits}.substr(at, length)).value_or(0));
    };
    std::tm when{};
    when.tm_year = number(0, 4) - 1900;
    when.tm_mon = number(4, 2) - 1;
    when.tm_mday = number(6, 2);
    when.tm_hour = number(8, 2);
    when.tm_min = number(10, 2);
    when.tm_sec = number(12, 2);
    return ::timegm(&when);
}

/// When the URL stops working, as seconds of the epoch.
std::optional<std::time_t> end_of(const std::string& url)
{
    for (const std::string_view vendor : {"X-Amz-", "X-Goog-"}) {
        const auto from = parse_time(query_field(url, std::string{vendor} + "Date"));
        const auto span = parse_u64(query_field(url, std::string{vendor} + "Expires"));
        if (from && span) {
            return *from + static_cast<std::time_t>(std::min(*span, kMaxSeconds));
        }
    }
    if (const auto azure = parse_time(query_field(url, "se"))) {
        return azure;
    }
    if (const auto epoch = parse_u64(query_field(url, "Expires")); epoch && *epoch < INT64_MAX / 2000) {
        return static_cast<std::time_t>(*epoch);
    }
    return std::nullopt;
}

} // namespace

milliseconds signed_url_lifetime(const std::string& url, WallClock::time_point now)
{
    const auto end = end_of(url);
    if (!end) {
        return kUnknownLifetime;
    }
    const auto left = *end - WallClock::to_time_t(now);
    const auto seconds = std::clamp<std::time_t>(left, 0, static_cast<std::time_t>(kMaxSeconds));
    return milliseconds{seconds * 900};
}

Result<std::string> next_hop(const std::string& url, const std::string* location, unsigned hops)
{
    if (location == nullptr) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: redirected to nowhere", public_url(url)));
    }
    if (hops == kMaxRedirects) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: too many redirects", public_url(url)));
    }
    return resolve_location(url, *location);
}

void RedirectCache::put(const std::string& blob, Place place, milliseconds lifetime, TimePoint now)
{
    if (entries_.size() >= kMaxEntries) {
        std::erase_if(entries_, [now](const auto& entry) { return entry.second.until <= now; });
    }
    if (entries_.size() >= kMaxEntries) {
        entries_.erase(entries_.begin());
    }
    entries_.insert_or_assign(blob, Entry{std::move(place), now + lifetime});
}

std::optional<RedirectCache::Place> RedirectCache::find(const std::string& blob, TimePoint now) const
{
    const auto it = entries_.find(blob);
    return it == entries_.end() || it->second.until <= now ? std::nullopt : std::optional{it->second.place};
}

void RedirectCache::drop(const std::string& blob, const std::string& url)
{
    const auto it = entries_.find(blob);
    if (it != entries_.end() && it->second.place.url == url) {
        entries_.erase(it);
    }
}

} // namespace sluice::fetcher
