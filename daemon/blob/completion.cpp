// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/completion.hpp"

#include "base/for_each_bounded.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace sluice::daemon {

namespace {

/// Fetches that are kept going; more would only queue in the fetcher.
constexpr std::size_t kAtOnce = 8;

} // namespace

Task<Result<void>> fill_all(EventLoop& loop, BlobFiller& filler, std::uint64_t size, std::uint64_t piece)
{
    auto fill = [&filler, size, piece](std::size_t number) {
        const auto begin = number * piece;
        return filler.fill({begin, std::min(begin + piece, size)}, Urgency::kBackground);
    };
    const auto pieces = static_cast<std::size_t>((size + piece - 1) / piece);
    auto filled = co_await for_each_bounded(loop, pieces, kAtOnce, std::move(fill));
    co_return filled;
}

} // namespace sluice::daemon
