// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/blob/blob_filler.hpp"
#include "daemon/blob/catalogue.hpp"
#include "protocol/device.hpp"

#include <functional>
#include <memory>
#include <unordered_map>

namespace sluice::daemon {

/// What the front ends talk to: OPEN looks a blob up, READ fills it, CLOSE forgets it. None of the three waits.
/// Loop thread only.
class ObjectService final : public protocol::RequestHandler {
public:
    ObjectService(
        FillServices& services,
        const FillPolicy& policy,
        Catalogue& catalogue,
        std::function<void(const Error&)> device_lost
    );

    void on_open(protocol::OpenRequest request) override;
    void on_read(protocol::ReadRequest request) override;
    void on_close(ObjectId object) override;
    void on_device_lost(const Error& why) override;

    /// The filler of an opened blob; null when it is not open.
    [[nodiscard]] const BlobFiller* find(const Digest& digest) const;

    [[nodiscard]] std::size_t objects_open() const noexcept { return objects_.size(); }

    [[nodiscard]] std::size_t reads_waiting() const;
    [[nodiscard]] std::uint64_t bytes_in_flight() const;

private:
    FillServices& services_;
    const FillPolicy& policy_;
    Catalogue& catalogue_;
    std::function<void(const Error&)> device_lost_;
    /// By generation, not by blob: a reopened blob's new object may come before the old one's CLOSE was handled.
    std::unordered_map<ObjectId, std::unique_ptr<BlobFiller>> objects_;
};

} // namespace sluice::daemon
