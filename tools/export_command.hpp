// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"
#include "tools/blob_export.hpp"
#include "tools/control_api.hpp"

#include <optional>
#include <vector>

namespace sluice::tools {

struct ExportRequest {
    std::string reference;
    std::filesystem::path target;       ///< a file; or a directory that is there, for any number of blobs
    std::optional<std::uint32_t> layer; ///< this one only
    std::string library_socket;         ///< empty: the daemon says
    std::string control_socket;         ///< beside which the library's is looked for when the daemon says nothing
};

struct ExportedFile {
    std::filesystem::path file;
    std::uint32_t layer = 0;
    std::uint32_t device = 0; ///< 0: the layer's own blob
    ExportedBlob blob;
};

/// sluicectl export: registers the image, and writes what it is made of to files through libsluice. Whoever may not
/// register images can export those that are registered.
[[nodiscard]] Result<std::vector<ExportedFile>> run_export(ControlApi& daemon, const ExportRequest& request);

[[nodiscard]] Json to_json(const ExportRequest& request, const std::vector<ExportedFile>& files);
[[nodiscard]] std::string format_exported(const std::vector<ExportedFile>& files);

} // namespace sluice::tools
