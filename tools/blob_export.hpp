// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <sluice_client.h>
#include <string>

namespace sluice::tools {

struct LibraryClientCloser {
    void operator()(sluice_client* client) const noexcept { sluice_close(client); }
};

struct LibraryBlobCloser {
    void operator()(sluice_blob* blob) const noexcept { sluice_blob_close(blob); }
};

using LibraryClient = std::unique_ptr<sluice_client, LibraryClientCloser>;
using LibraryBlob = std::unique_ptr<sluice_blob, LibraryBlobCloser>;

struct ExportedBlob {
    std::string digest;
    std::uint64_t size = 0;   ///< bytes
    std::uint64_t reused = 0; ///< of them, what was right already in the file of an earlier attempt
};

using ExportProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// Writes all of the blob to `target`: into "<target>.part" at first, which takes the target's place, synced, when it
/// is whole. A .part that is there already is gone on with, and nothing in it is believed: each byte is compared with
/// the proved one, which comes from the daemon's cache and not from the network if it was there before. An error leaves
/// the .part for the next attempt. Nothing else may use the connection meanwhile. Blocks.
[[nodiscard]] Result<ExportedBlob> export_blob(
    sluice_client& client, sluice_blob& blob, const std::filesystem::path& target, const ExportProgress& progress
);

} // namespace sluice::tools
