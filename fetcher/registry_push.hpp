// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fetcher/image_target.hpp"
#include "fetcher/registry_session.hpp"

#include <string>

namespace sluice::fetcher {

/// The writing half of the distribution protocol: monolithic uploads. Loop's thread; must outlive
/// its tasks.
class RegistryPush final : public ImageTarget {
public:
    explicit RegistryPush(RegistrySession& session) : session_{session} {}

    [[nodiscard]] Task<Result<bool>> blob_exists(std::string repository, Digest digest, Deadline deadline) override;
    [[nodiscard]] Task<Result<void>> push_blob(
        std::string repository, int fd, Digest digest, std::uint64_t size, PushProgress progress, Deadline deadline
    ) override;
    [[nodiscard]] Task<Result<void>>
    push_blob_bytes(std::string repository, std::string bytes, Digest digest, Deadline deadline) override;
    [[nodiscard]] Task<Result<void>> put_manifest(
        std::string repository, std::string tag_or_digest, std::string media_type, std::string bytes, Deadline deadline
    ) override;

private:
    /// Where to, and who says so.
    struct Target {
        std::string url;
        Network sent_by = Network::kPublic;
    };

    [[nodiscard]] Task<Result<Target>> start_upload(Repository repository, Deadline deadline);

    /// `body` brings the bytes, in memory or as an upload; the rest of it is filled in here.
    [[nodiscard]] Task<Result<void>> upload(std::string repository, HttpRequest body, Digest digest, Deadline deadline);

    RegistrySession& session_;
};

} // namespace sluice::fetcher
