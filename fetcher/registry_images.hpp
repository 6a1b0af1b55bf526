// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fetcher/image_source.hpp"
#include "fetcher/registry_session.hpp"

namespace sluice::fetcher {

/// Manifests and small blobs from registries that speak the OCI distribution protocol. `repository` is "registry/name"
/// everywhere. On the loop's thread; must outlive its tasks, and the session it.
class RegistryImages final : public ImageSource {
public:
    RegistryImages(RegistrySession& session, Sha256Function sha256) : session_{session}, sha256_{sha256} {}

    [[nodiscard]] Task<Result<RawManifest>>
    fetch_manifest(std::string repository, std::string tag_or_digest, Deadline deadline) override;
    [[nodiscard]] Task<Result<std::string>>
    fetch_small_blob(BlobLocation blob, std::size_t limit, Deadline deadline) override;

private:
    RegistrySession& session_;
    Sha256Function sha256_;
};

} // namespace sluice::fetcher
