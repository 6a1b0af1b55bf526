// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/hole_map.hpp"

#include <utility>

namespace sluice::daemon {

HoleMap::HoleMap(std::shared_ptr<protocol::ObjectHandle> handle, std::uint64_t size)
    : handle_{std::move(handle)}
    , object_{ByteRange{0, size}.align_out(kBlockSize)}
    , windows_((object_.end() + kWindow - 1) / kWindow)
{}

Result<void> HoleMap::look(std::uint64_t window)
{
    const ByteRange all{window * kWindow, (window + 1) * kWindow};
    const auto holes = handle_->missing(all.intersect(object_));
    if (!holes) {
        return fail(holes.error());
    }
    auto fresh = std::make_unique<Window>();
    for (const auto& hole : *holes) {
        for (auto at = hole.begin(); at < hole.end(); at += kBlockSize) {
            fresh->set((at - all.begin()) / kBlockSize);
        }
    }
    windows_[window] = std::move(fresh);
    return {};
}

Result<std::vector<ByteRange>> HoleMap::missing(ByteRange range)
{
    const auto blocks = range.align_out(kBlockSize).intersect(object_);
    std::vector<ByteRange> found;
    for (auto at = blocks.begin(); at < blocks.end(); at += kBlockSize) {
        const auto window = at / kWindow;
        if (windows_[window] == nullptr) {
            if (auto looked = look(window); !looked) {
                return fail(looked.error());
            }
        }
        if (!windows_[window]->test(at % kWindow / kBlockSize)) {
            continue;
        }
        const auto begin = !found.empty() && found.back().end() == at ? found.back().begin() : at;
        if (begin != at) {
            found.pop_back();
        }
        found.push_back({begin, at + kBlockSize});
    }
    return found;
}

Result<std::vector<ByteRange>> HoleMap::look_again(ByteRange range)
{
    const auto blocks = range.align_out(kBlockSize).intersect(object_);
    for (auto at = blocks.begin() / kWindow * kWindow; at < blocks.end(); at += kWindow) {
        windows_[at / kWindow].reset();
    }
    return missing(range);
}

void HoleMap::written(ByteRange range)
{
    const auto blocks = range.intersect(object_);
    for (auto at = blocks.begin(); at < blocks.end(); at += kBlockSize) {
        if (auto& window = windows_[at / kWindow]; window != nullptr) {
            window->reset(at % kWindow / kBlockSize);
        }
    }
}

} // namespace sluice::daemon
