// SPDX-License-Identifier: Apache-2.0
#include "daemon/front_end/front_ends.hpp"

#include <utility>

namespace sluice::daemon {

Result<void> FrontEnds::start(FrontEnd front_end)
{
    if (auto started = front_end.device->start(*front_end.objects); !started) {
        return started;
    }
    front_ends_.push_back(std::move(front_end));
    return {};
}

void FrontEnds::stop()
{
    for (const auto& front_end : front_ends_) {
        front_end.device->stop();
    }
}

const BlobFiller* FrontEnds::find(const Digest& digest, std::string_view front_end_name) const
{
    for (const auto& front_end : front_ends_) {
        if (!front_end_name.empty() && front_end.name != front_end_name) {
            continue;
        }
        if (const auto* filler = front_end.objects->find(digest); filler != nullptr) {
            return filler;
        }
    }
    return nullptr;
}

std::size_t FrontEnds::objects_open() const
{
    std::size_t total = 0;
    for (const auto& front_end : front_ends_) {
        total += front_end.objects->objects_open();
    }
    return total;
}

std::size_t FrontEnds::reads_waiting() const
{
    std::size_t total = 0;
    for (const auto& front_end : front_ends_) {
        total += front_end.objects->reads_waiting();
    }
    return total;
}

std::uint64_t FrontEnds::bytes_in_flight() const
{
    std::uint64_t total = 0;
    for (const auto& front_end : front_ends_) {
        total += front_end.objects->bytes_in_flight();
    }
    return total;
}

} // namespace sluice::daemon
