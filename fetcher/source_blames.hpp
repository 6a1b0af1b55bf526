// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/clock.hpp"
#include "base/digest.hpp"

#include <compare>
#include <map>
#include <string>

namespace sluice::fetcher {

/// Which repositories have sent bytes of a blob that did not match the signed tree, and where. Once may have been the
/// way here; twice at the same place is the source, for the next second: then it may have been mended. Forgotten after
/// a minute. A value, bounded; the clock is handed in.
/// Not thread-safe.
class SourceBlames {
public:
    void blame(const std::string& repository, const Digest& blob, ByteRange range, TimePoint now);

    /// Whether it has sent any wrong byte of `blob` lately.
    [[nodiscard]] bool suspected(const std::string& repository, const Digest& blob, TimePoint now) const;

    /// Whether all of `range` has come wrong from it twice, the last time within a second.
    [[nodiscard]] bool
    convicted(const std::string& repository, const Digest& blob, ByteRange range, TimePoint now) const;

private:
    struct Key {
        Digest blob;
        std::string repository;

        friend auto operator<=>(const Key&, const Key&) = default;
    };

    struct Record {
        RangeSet once;
        RangeSet twice;
        TimePoint until;
        TimePoint convicted_until;
    };

    [[nodiscard]] const Record* find(const std::string& repository, const Digest& blob, TimePoint now) const;

    std::map<Key, Record> records_;
};

} // namespace sluice::fetcher
