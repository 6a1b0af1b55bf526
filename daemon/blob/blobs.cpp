// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/blobs.hpp"

#include <algorithm>

namespace sluice::daemon {

Result<std::shared_ptr<Blob>> Blobs::use(const BlobInfo& info)
{
    const auto identity = identity_of(info);
    if (auto known = find(identity)) {
        known->add_repositories(info.repositories);
        return known;
    }
    auto blob = Blob::make(services_, policy_, info);
    if (blob) {
        blobs_.insert_or_assign(identity, *blob);
        if (on_use) {
            on_use(identity);
        }
        if (on_end) {
            (*blob)->on_end = on_end; // from here on it is in use
        }
        forget_unused();
    }
    return blob;
}

std::shared_ptr<Blob> Blobs::find(const Digest& identity) const
{
    const auto found = blobs_.find(identity);
    return found == blobs_.end() ? nullptr : found->second.lock();
}

void Blobs::forget_unused()
{
    if (blobs_.size() >= tidy_at_) {
        std::erase_if(blobs_, [](const auto& entry) { return entry.second.expired(); });
        tidy_at_ = std::max<std::size_t>(64, 2 * blobs_.size());
    }
}

std::vector<std::shared_ptr<const Blob>> Blobs::all() const
{
    std::vector<std::shared_ptr<const Blob>> found;
    for (const auto& [identity, weak] : blobs_) {
        if (auto blob = weak.lock()) {
            found.push_back(std::move(blob));
        }
    }
    return found;
}

std::size_t Blobs::reads_waiting() const
{
    std::size_t total = 0;
    for (const auto& [identity, weak] : blobs_) {
        if (const auto blob = weak.lock()) {
            total += blob->filler().reads_waiting();
        }
    }
    return total;
}

std::optional<Deadline> Blobs::first_deadline() const
{
    std::optional<Deadline> first;
    for (const auto& [identity, weak] : blobs_) {
        const auto blob = weak.lock();
        const auto own = blob ? blob->filler().first_deadline() : std::nullopt;
        if (own && (!first || own->when() < first->when())) {
            first = own;
        }
    }
    return first;
}

std::uint64_t Blobs::bytes_in_flight() const
{
    std::uint64_t total = 0;
    for (const auto& [identity, weak] : blobs_) {
        if (const auto blob = weak.lock()) {
            total += blob->filler().bytes_in_flight();
        }
    }
    return total;
}

} // namespace sluice::daemon
