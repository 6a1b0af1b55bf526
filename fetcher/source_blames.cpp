// SPDX-License-Identifier: Apache-2.0
#include "fetcher/source_blames.hpp"

#include <algorithm>

namespace sluice::fetcher {

namespace {

constexpr milliseconds kMemory{60'000};
constexpr milliseconds kConviction{1000};
constexpr std::size_t kMaxRecords = 1024;
constexpr std::size_t kMaxRanges = 4096; ///< of one record

} // namespace

void SourceBlames::blame(const std::string& repository, const Digest& blob, ByteRange range, TimePoint now)
{
    std::erase_if(records_, [now](const auto& entry) { return entry.second.until <= now; });
    Key key{blob, repository};
    if (records_.size() >= kMaxRecords && !records_.contains(key)) {
        records_.erase(std::ranges::min_element(records_, {}, [](const auto& entry) { return entry.second.until; }));
    }
    auto& record = records_[std::move(key)];
    record.until = now + kMemory;
    record.convicted_until = now + kConviction;
    if (record.once.ranges().size() >= kMaxRanges) {
        return; // suspected for long; nobody needs to know where else
    }
    for (const auto& again : record.once.inside(range)) {
        record.twice.add(again);
    }
    record.once.add(range);
}

const SourceBlames::Record* SourceBlames::find(const std::string& repository, const Digest& blob, TimePoint now) const
{
    const auto it = records_.find(Key{blob, repository});
    return it == records_.end() || it->second.until <= now ? nullptr : &it->second;
}

bool SourceBlames::suspected(const std::string& repository, const Digest& blob, TimePoint now) const
{
    return find(repository, blob, now) != nullptr;
}

bool SourceBlames::convicted(const std::string& repository, const Digest& blob, ByteRange range, TimePoint now) const
{
    const auto* record = find(repository, blob, now);
    return record != nullptr && now < record->convicted_until && record->twice.contains(range);
}

} // namespace sluice::fetcher
