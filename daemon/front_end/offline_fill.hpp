// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/blob/blob_filler.hpp"
#include "daemon/front_end/front_ends.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace sluice::daemon {

/// Downloads and proves whole blobs into the cache before the kernel opens them: compressed images may not be read
/// while parts of them are missing (kernels from 6.8 on hang or corrupt memory then). Loop thread only.
class OfflineFill {
public:
    using Filling = std::map<Digest, std::shared_ptr<protocol::ObjectHandle>>;

    struct Place {
        std::string front_end; ///< the kernel's, which may not have the blob open meanwhile
        std::filesystem::path cache_dir;
        std::filesystem::path private_dir;
        std::string volume;
    };

    OfflineFill(FillServices& services, const FillPolicy& policy, const FrontEnds& front_ends, Place place)
        : services_{services}, policy_{policy}, front_ends_{front_ends}, place_{std::move(place)}
    {}

    /// Other front ends may have the blob open.
    [[nodiscard]] Task<Result<void>> complete(std::shared_ptr<BlobTree> tree);

    /// The backing file of a blob that is being filled here; null for others.
    [[nodiscard]] std::shared_ptr<protocol::ObjectHandle> filling(const Digest& digest) const;

private:
    FillServices& services_;
    const FillPolicy& policy_;
    const FrontEnds& front_ends_;
    Place place_;
    Filling filling_;
};

} // namespace sluice::daemon
