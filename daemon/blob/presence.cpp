// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/presence.hpp"

#include <utility>

namespace sluice::daemon {

namespace {

constexpr std::uint64_t kWindow = 4U << 20;

ByteRange window_range(std::uint64_t window)
{
    return {window * kWindow, (window + 1) * kWindow};
}

} // namespace

/// While a worker asks the file, `missing` counts for nothing, and `written` collects what the worker may have come too
/// early to see.
struct Presence::Window {
    using Blocks = std::bitset<kWindow / kBlockSize>;

    bool known = false;
    bool doubted = false; ///< invalidated since the worker was sent
    Blocks missing;
    Blocks written;
};

Presence::Presence(EventLoop& loop, WorkerPool& workers, std::shared_ptr<const BackingFile> file, std::uint64_t size)
    : loop_{loop}
    , workers_{workers}
    , file_{std::move(file)}
    , blob_{ByteRange{0, size}.align_out(kBlockSize)}
    , stored_{loop, workers, file_, size}
    , looking_{loop}
{}

Presence::~Presence() = default;

std::optional<std::vector<ByteRange>> Presence::missing(ByteRange range) const
{
    const auto blocks = range.align_out(kBlockSize).intersect(blob_);
    std::vector<ByteRange> found;
    for (auto at = blocks.begin(); at < blocks.end(); at += kBlockSize) {
        const auto window = windows_.find(at / kWindow);
        if (window == windows_.end() || !window->second->known) {
            return std::nullopt;
        }
        if (!window->second->missing.test(at % kWindow / kBlockSize)) {
            continue;
        }
        if (!found.empty() && found.back().end() == at) {
            found.back() = {found.back().begin(), at + kBlockSize};
        } else {
            found.push_back({at, at + kBlockSize});
        }
    }
    return found;
}

Task<Result<void>> Presence::look(ByteRange range)
{
    const auto blocks = range.align_out(kBlockSize).intersect(blob_);
    for (auto at = blocks.begin() / kWindow * kWindow; at < blocks.end(); at += kWindow) {
        const auto number = at / kWindow;
        for (;;) {
            const auto window = windows_.find(number);
            if (window != windows_.end() && window->second->known) {
                break;
            }
            auto start = [this, number] { return look_at(number); };
            auto looked = co_await looking_.run(number, std::move(start));
            if (!looked) {
                co_return looked;
            }
        }
    }
    co_return Result<void>{};
}

Task<Result<void>> Presence::look_at(std::uint64_t number)
{
    windows_.insert_or_assign(number, std::make_unique<Window>());
    const auto range = window_range(number).intersect(blob_);
    auto job = [file = file_, range] { return file->missing(range); };
    const auto holes = co_await workers_.run(loop_, std::move(job));
    const auto at = windows_.find(number);
    if (!holes) {
        windows_.erase(at);
        co_return fail(holes.error());
    }
    auto& window = *at->second;
    if (window.doubted) {
        windows_.erase(at); // the asker looks again
        co_return Result<void>{};
    }
    for (const auto& hole : *holes) {
        for (auto block = hole.begin(); block < hole.end(); block += kBlockSize) {
            window.missing.set((block - range.begin()) / kBlockSize);
        }
    }
    window.missing &= ~window.written;
    window.known = true;
    co_return Result<void>{};
}

void Presence::written(ByteRange range)
{
    const auto blocks = range.intersect(blob_);
    stored_.written(blocks);
    for (auto at = blocks.begin(); at < blocks.end(); at += kBlockSize) {
        if (const auto window = windows_.find(at / kWindow); window != windows_.end()) {
            window->second->missing.reset(at % kWindow / kBlockSize);
            window->second->written.set(at % kWindow / kBlockSize);
        }
    }
}

void Presence::invalidate(ByteRange range)
{
    const auto blocks = range.align_out(kBlockSize).intersect(blob_);
    stored_.invalidate(blocks);
    auto at = windows_.lower_bound(blocks.begin() / kWindow);
    while (at != windows_.end() && at->first * kWindow < blocks.end()) {
        if (at->second->known) {
            at = windows_.erase(at);
        } else {
            at->second->doubted = true;
            ++at;
        }
    }
}

} // namespace sluice::daemon
