// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"

#include <map>
#include <string>

namespace sluice::fetcher {

/// Which registries ignore Range. One answer may be a slip, of a proxy or of one server among many: a registry is
/// believed to ignore it when it has done so three times in a row, for a second then. A value; the clock is handed in.
/// Not thread-safe.
class RangeHabits {
public:
    /// It has not, for what it was asked at `asked`. Of those who had asked before it last slipped nobody counts: one
    /// bad moment may meet many of them.
    void ignored(const std::string& registry, TimePoint asked, TimePoint now);

    /// It has sent a range as asked for.
    void kept(const std::string& registry) { records_.erase(registry); }

    [[nodiscard]] bool ignores(const std::string& registry, TimePoint now) const;

private:
    struct Record {
        unsigned in_a_row = 0;
        TimePoint counted; ///< when the last of them was
        TimePoint until;
    };

    std::map<std::string, Record> records_; // of those that have slipped
};

} // namespace sluice::fetcher
