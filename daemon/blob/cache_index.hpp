// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "cache/records.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

namespace sluice::daemon {

/// How much a blob's data is wanted; what is wanted least is given up first.
enum class KeepClass : std::uint8_t {
    kForgotten,  ///< no registered image has it
    kRegistered, ///< an image has it
    kPinned,     ///< the operator wants it kept
};

/// What each blob takes on the disk, who uses it, when it was last used, and so: which is given up first. Asks no disk.
/// Each call costs O(log n), next() no more than the first look. Loop thread only.
class CacheIndex {
public:
    struct Entry {
        std::uint64_t bytes = 0; ///< of the disk: data and hash tree, when they were last measured
        cache::WallTime last_use{};
        unsigned users = 0; ///< Blob objects; such a blob is never given up
        KeepClass keep = KeepClass::kForgotten;
        std::uint64_t turn = 0; ///< which of those of one second was used before which
    };

    explicit CacheIndex(std::function<KeepClass(const Digest&)> keep_of) : keep_of_{std::move(keep_of)} {}

    CacheIndex(const CacheIndex&) = delete;
    CacheIndex& operator=(const CacheIndex&) = delete;

    void begin_use(const Digest& identity);
    void end_use(const Digest& identity, cache::WallTime last_use);

    /// What it takes on the disk; 0: it is not there. `last_use` counts for a blob that was not known yet.
    void measured(const Digest& identity, std::uint64_t bytes, cache::WallTime last_use);

    /// It could not be removed: all others come first.
    void put_off(const Digest& identity, cache::WallTime now);

    /// An image that has it came, went, was pinned or released.
    void reclassify(const Digest& identity);

    /// The one to give up first; nothing when all that is there is used or pinned.
    [[nodiscard]] std::optional<Digest> next() const;

    /// Those that can be given up, the first first.
    [[nodiscard]] std::vector<Digest> order() const;

    [[nodiscard]] bool can_go(const Digest& identity) const;

    /// Whose size may have changed since it was measured: those that are, or were, in use.
    [[nodiscard]] std::vector<Digest> to_measure() const;

    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

    [[nodiscard]] std::uint64_t bytes_that_can_go() const noexcept { return bytes_that_can_go_; }

    [[nodiscard]] std::size_t count_that_can_go() const noexcept { return order_.size(); }

    [[nodiscard]] const std::map<Digest, Entry>& entries() const noexcept { return entries_; }

private:
    using Entries = std::map<Digest, Entry>;
    using Key = std::tuple<KeepClass, cache::WallTime, std::uint64_t, Digest>;

    [[nodiscard]] static bool can_go(const Entry& entry) noexcept;
    [[nodiscard]] static Key key_of(const Digest& identity, const Entry& entry);
    [[nodiscard]] Entry& find_or_add(const Digest& identity);
    /// All changes of an entry stand between these two.
    void leave_order(const Digest& identity, const Entry& entry);
    void join_order(const Digest& identity, const Entry& entry);

    std::function<KeepClass(const Digest&)> keep_of_;
    Entries entries_;
    std::set<Key> order_; ///< those that can be given up
    std::set<Digest> changed_;
    std::uint64_t bytes_ = 0;
    std::uint64_t bytes_that_can_go_ = 0;
    std::uint64_t last_turn_ = 0;
};

} // namespace sluice::daemon
