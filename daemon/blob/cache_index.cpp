// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/cache_index.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::daemon {

bool CacheIndex::can_go(const Entry& entry) noexcept
{
    return entry.users == 0 && entry.bytes > 0 && entry.keep != KeepClass::kPinned;
}

CacheIndex::Key CacheIndex::key_of(const Digest& identity, const Entry& entry)
{
    return {entry.keep, entry.last_use, entry.turn, identity};
}

CacheIndex::Entry& CacheIndex::find_or_add(const Digest& identity)
{
    const auto [at, is_new] = entries_.try_emplace(identity);
    if (is_new) {
        at->second.keep = keep_of_(identity);
    }
    return at->second;
}

void CacheIndex::leave_order(const Digest& identity, const Entry& entry)
{
    bytes_ -= entry.bytes;
    if (can_go(entry)) {
        bytes_that_can_go_ -= entry.bytes;
        order_.erase(key_of(identity, entry));
    }
}

void CacheIndex::join_order(const Digest& identity, const Entry& entry)
{
    bytes_ += entry.bytes;
    if (can_go(entry)) {
        bytes_that_can_go_ += entry.bytes;
        order_.insert(key_of(identity, entry));
    }
}

void CacheIndex::begin_use(const Digest& identity)
{
    auto& entry = find_or_add(identity);
    leave_order(identity, entry);
    ++entry.users;
    join_order(identity, entry);
    changed_.insert(identity);
}

void CacheIndex::end_use(const Digest& identity, cache::WallTime last_use)
{
    const auto found = entries_.find(identity);
    assert(found != entries_.end() && found->second.users > 0);
    auto& entry = found->second;
    leave_order(identity, entry);
    --entry.users;
    if (entry.last_use <= last_use) {
        entry.last_use = last_use;
        entry.turn = ++last_turn_;
    }
    join_order(identity, entry);
}

void CacheIndex::measured(const Digest& identity, std::uint64_t bytes, cache::WallTime last_use)
{
    const bool is_known = entries_.contains(identity);
    if (!is_known && bytes == 0) {
        return;
    }
    auto& entry = find_or_add(identity);
    leave_order(identity, entry);
    entry.bytes = bytes;
    entry.last_use = is_known ? entry.last_use : last_use;
    join_order(identity, entry);
    if (entry.users == 0) {
        changed_.erase(identity);
        if (bytes == 0) {
            entries_.erase(identity);
        }
    }
}

void CacheIndex::put_off(const Digest& identity, cache::WallTime now)
{
    const auto found = entries_.find(identity);
    if (found == entries_.end()) {
        return;
    }
    leave_order(identity, found->second);
    found->second.last_use = std::max(now, found->second.last_use);
    found->second.turn = ++last_turn_;
    join_order(identity, found->second);
}

void CacheIndex::reclassify(const Digest& identity)
{
    const auto found = entries_.find(identity);
    if (found == entries_.end()) {
        return;
    }
    leave_order(identity, found->second);
    found->second.keep = keep_of_(identity);
    join_order(identity, found->second);
}

std::optional<Digest> CacheIndex::next() const
{
    return order_.empty() ? std::nullopt : std::optional{std::get<Digest>(*order_.begin())};
}

std::vector<Digest> CacheIndex::order() const
{
    std::vector<Digest> all;
    all.reserve(order_.size());
    for (const auto& key : order_) {
        all.push_back(std::get<Digest>(key));
    }
    return all;
}

bool CacheIndex::can_go(const Digest& identity) const
{
    const auto found = entries_.find(identity);
    return found != entries_.end() && can_go(found->second);
}

std::vector<Digest> CacheIndex::to_measure() const
{
    return {changed_.begin(), changed_.end()};
}

} // namespace sluice::daemon
