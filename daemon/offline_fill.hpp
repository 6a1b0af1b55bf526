// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/blob_filler.hpp"
#include "daemon/front_ends.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace sluice::daemon {

/// Downloads and proves whole blobs into the cache before the kernel opens them: compressed images may not be read
/// while parts of them are missing (kernels from 6.8 on hang or corrupt memory then). Loop thread only.
class OfflineFill {
public:
    struct Place {
        std::filesystem::path cache_dir;
        std::filesystem::path private_dir;
        std::string volume;
    };

    OfflineFill(FillServices& services, const FillPolicy& policy, const FrontEnds& front_ends, Place place)
        : services_{services}, policy_{policy}, front_ends_{front_ends}, place_{std::move(place)}
    {}

    [[nodiscard]] Task<Result<void>> complete(std::shared_ptr<BlobTree> tree);

    /// Bytes present of a blob that is being filled here; nothing for others.
    [[nodiscard]] std::optional<std::uint64_t> progress(const Digest& digest) const;

private:
    FillServices& services_;
    const FillPolicy& policy_;
    const FrontEnds& front_ends_;
    Place place_;
    std::map<Digest, const BlobFiller*> filling_;
};

} // namespace sluice::daemon
