// SPDX-License-Identifier: Apache-2.0
#include "fetcher/token_cache.hpp"

#include <utility>

namespace sluice::fetcher {

namespace {

constexpr std::size_t kMaxTokens = 4096;

} // namespace

milliseconds usable_lifetime(milliseconds lifetime, std::uint32_t random) noexcept
{
    const auto whole = lifetime.count() < 0 ? 0 : lifetime.count();
    const auto tenth = static_cast<std::uint64_t>(whole) / 10;
    const auto jitter =
        static_cast<milliseconds::rep>(static_cast<std::uint64_t>(static_cast<double>(tenth) * (random / 4294967296.0))
        );
    return milliseconds{whole / 10 * 8 + whole % 10 * 8 / 10 - jitter};
}

void TokenCache::put(TokenKey key, std::string header, TimePoint until, TimePoint now)
{
    if (entries_.size() >= kMaxTokens) {
        std::erase_if(entries_, [now](const auto& entry) { return entry.second.until <= now; });
    }
    if (entries_.size() >= kMaxTokens) {
        entries_.erase(entries_.begin());
    }
    entries_.insert_or_assign(std::move(key), Entry{std::move(header), until});
}

std::string TokenCache::find(const TokenKey& key, TimePoint now) const
{
    const auto it = entries_.find(key);
    return it == entries_.end() || it->second.until <= now ? std::string{} : it->second.header;
}

void TokenCache::drop(const TokenKey& key, const std::string& header)
{
    const auto it = entries_.find(key);
    if (it != entries_.end() && it->second.header == header) {
        entries_.erase(it);
    }
}

} // namespace sluice::fetcher
