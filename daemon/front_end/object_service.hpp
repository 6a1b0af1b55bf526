// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/task_scope.hpp"
#include "daemon/blob/blobs.hpp"
#include "daemon/blob/catalogue.hpp"
#include "protocol/front_end.hpp"

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

namespace sluice::daemon {

/// What one front end talks to: OPEN looks a blob up and opens it, READ has it filled, CLOSE lets it go. Loop thread
/// only.
class ObjectService final : public protocol::RequestHandler {
public:
    struct Parts {
        FillServices& services;
        Blobs& blobs;
        Catalogue& catalogue;
        std::function<protocol::Capabilities()> capabilities; ///< of the front end
        std::function<void(const Error&)> lost;               ///< the front end is
    };

    explicit ObjectService(Parts parts);

    void on_open(protocol::OpenRequest request) override;
    void on_read(protocol::ReadRequest request) override;
    void on_close(ObjectId object) override;
    void on_front_end_lost(const Error& why) override;

    [[nodiscard]] std::size_t objects_open() const noexcept { return objects_.size(); }

private:
    Task<void> open(std::shared_ptr<Blob> blob, bool compressed, protocol::OpenRequest request);
    /// For a front end that brings the handle itself.
    [[nodiscard]] static Task<Result<void>> may_open(std::shared_ptr<Blob> blob, bool must_be_complete);
    void reject(protocol::PendingOpen pending, const Digest& digest, const Error& why);

    Parts parts_;
    /// By generation, not by blob: a reopened blob's new object may come before the old one's CLOSE was handled.
    std::unordered_map<ObjectId, std::unique_ptr<BlobReader>> objects_;
    std::unordered_map<ObjectId, bool> opening_; ///< true: closed before it was open
    TaskScope tasks_;                            // last: its tasks touch all of the above
};

} // namespace sluice::daemon
