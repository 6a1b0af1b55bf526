// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "lib/probe.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace sluice::lib::test {

/// A sparse file as lseek() sees it, bytes of data and holes in units of 512, with faults on order.
class HoleMap {
public:
    static constexpr std::int64_t kUnit = 512;

    explicit HoleMap(std::int64_t size) : size_{size}, data_(static_cast<std::size_t>((size + kUnit - 1) / kUnit)) {}

    HoleMap(std::int64_t size, std::initializer_list<std::pair<std::int64_t, std::int64_t>> runs) : HoleMap{size}
    {
        for (const auto& [begin, end] : runs) {
            fill(begin, end);
        }
    }

    void fill(std::int64_t begin, std::int64_t end)
    {
        for (auto at = begin; at < end && at < size_; at += kUnit) {
            data_[static_cast<std::size_t>(at / kUnit)] = true;
        }
    }

    void fail_data_seeks(int error) { data_error_ = error; }

    void fail_hole_seeks(int error) { hole_error_ = error; }

    [[nodiscard]] std::int64_t seek(Seek what, std::int64_t from)
    {
        ++seeks;
        if (const int error = what == Seek::kData ? data_error_ : hole_error_; error != 0) {
            return -error;
        }
        if (from < 0 || from >= size_) {
            return -ENXIO;
        }
        for (auto at = from; at < size_; at = (at / kUnit + 1) * kUnit) {
            if (data_[static_cast<std::size_t>(at / kUnit)] == (what == Seek::kData)) {
                return at;
            }
        }
        return what == Seek::kHole ? size_ : -ENXIO;
    }

    [[nodiscard]] bool is_data(std::int64_t at) const
    {
        return at >= 0 && at < size_ && data_[static_cast<std::size_t>(at / kUnit)];
    }

    [[nodiscard]] std::int64_t size() const { return size_; }

    [[nodiscard]] ProbedFile probed(std::uint32_t block_size = 4096)
    {
        return {
            .seek = [](void* map, Seek what, std::int64_t from
                    ) { return static_cast<HoleMap*>(map)->seek(what, from); },
            .file = this,
            .block_size = block_size,
        };
    }

    int seeks = 0;

private:
    std::int64_t size_;
    std::vector<bool> data_;
    int data_error_ = 0;
    int hole_error_ = 0;
};

/// A daemon that fills what it is told to when it is asked, and remembers what it was asked for.
class Filler {
public:
    enum class How : std::uint8_t { kAll, kNothing, kFirstBlock, kTooMuch, kRefuse };

    Filler(HoleMap& map, How how, std::int64_t block = 4096) : map_{map}, how_{how}, block_{block} {}

    static int call(void* self, std::uint64_t start, std::uint64_t len)
    {
        return static_cast<Filler*>(self)->fill(start, len);
    }

    std::vector<std::pair<std::uint64_t, std::uint64_t>> asked;

private:
    int fill(std::uint64_t start, std::uint64_t len)
    {
        asked.emplace_back(start, len);
        const auto begin = static_cast<std::int64_t>(start);
        const auto size = static_cast<std::uint64_t>(map_.size());
        const auto end = static_cast<std::int64_t>(std::min(start + len, size)); // nothing grows the file
        switch (how_) {
        case How::kAll:
            map_.fill(begin, end);
            return 0;
        case How::kNothing:
            return 0;
        case How::kFirstBlock:
            map_.fill(begin, begin + block_);
            return 0;
        case How::kTooMuch:
            map_.fill(begin, end + 16 * block_);
            return 0;
        case How::kRefuse:
            return -EINTR;
        }
        return -EINVAL;
    }

    HoleMap& map_;
    How how_;
    std::int64_t block_;
};

} // namespace sluice::lib::test
