// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "daemon/blob/blob.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace sluice::daemon {

/// The blobs that somebody uses at this moment, each once. Loop thread only.
class Blobs {
public:
    Blobs(FillServices& services, const FillPolicy& policy) : services_{services}, policy_{policy} {}

    Blobs(const Blobs&) = delete;
    Blobs& operator=(const Blobs&) = delete;

    /// The blob that is in use, which learns of further repositories, or a new one. Fails when the geometry does not
    /// fit.
    [[nodiscard]] Result<std::shared_ptr<Blob>> use(const BlobInfo& info);

    /// Told of each blob that somebody begins to use.
    std::function<void(const Digest& identity)> on_use;

    /// Told of each blob that nobody uses any more.
    std::function<void(const Blob& blob)> on_end;

    [[nodiscard]] std::vector<std::shared_ptr<const Blob>> all() const;

    /// Null when nobody uses it.
    [[nodiscard]] std::shared_ptr<Blob> find(const Digest& identity) const;

    /// READs that wait, and bytes on their way, of all blobs.
    [[nodiscard]] std::size_t reads_waiting() const;
    [[nodiscard]] std::uint64_t bytes_in_flight() const;
    /// When the READ that is due first is due; nothing when none waits.
    [[nodiscard]] std::optional<Deadline> first_deadline() const;

private:
    void forget_unused();

    FillServices& services_;
    const FillPolicy& policy_;
    std::map<Digest, std::weak_ptr<Blob>> blobs_;
    std::size_t tidy_at_ = 64; ///< entries at which those of blobs that are gone are removed
};

} // namespace sluice::daemon
