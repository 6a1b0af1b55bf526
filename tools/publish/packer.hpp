// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tools/publish/blob_file.hpp"
#include "tools/publish/publish.hpp"
#include "tools/publish/reporter.hpp"

#include <string>
#include <vector>

namespace sluice::tools {

/// A layer's blobs, as they stand in the manifest: devices first, then the image that refers to them.
struct PackedLayer {
    std::vector<BlobFile> devices;
    BlobFile image;
};

/// Makes blobs of inputs: tar, mkfs.erofs, patches, tree, index. Loop thread; what it refers to must outlive its tasks.
class Packer {
public:
    Packer(
        const PublishContext& context,
        const PublishOptions& options,
        const Reporter& reporter,
        std::filesystem::path work,
        std::vector<std::string>& notes
    )
        : context_{context}, options_{options}, reporter_{reporter}, work_{std::move(work)}, notes_{notes}
    {}

    Packer(const Packer&) = delete;
    Packer& operator=(const Packer&) = delete;

    /// `number` counts from 1 and names the layer in texts and files.
    [[nodiscard]] Task<Result<PackedLayer>> pack(PublishInput input, unsigned number);

private:
    struct Images {
        std::filesystem::path image;
        std::vector<std::filesystem::path> devices;
        bool keep_uuid = false;
    };

    [[nodiscard]] Task<Result<Images>> from_tar(std::filesystem::path tar, unsigned number);
    [[nodiscard]] Task<Result<Images>>
    from_directory(std::filesystem::path directory, std::string name, unsigned number);
    [[nodiscard]] Task<Result<Images>> from_erofs(PublishInput input, unsigned number);
    [[nodiscard]] Task<Result<void>> copy(std::filesystem::path from, std::filesystem::path to, unsigned number);
    [[nodiscard]] Task<Result<BlobFile>> seal(std::filesystem::path file, std::string phase);
    [[nodiscard]] Task<Result<PackedLayer>> seal_all(Images images, PublishInput input, unsigned number);

    const PublishContext& context_;
    const PublishOptions& options_;
    const Reporter& reporter_;
    std::filesystem::path work_;
    std::vector<std::string>& notes_;
};

/// What is wrong with options that only concern mkfs.erofs; Invalid.
[[nodiscard]] Result<void> check_mkfs_options(const PublishOptions& options);

/// mkfs.erofs's arguments for one directory; pure. `device` empty: none.
[[nodiscard]] std::vector<std::string> mkfs_arguments(
    const PublishOptions& options,
    const std::filesystem::path& image,
    const std::filesystem::path& device,
    const std::filesystem::path& directory
);

} // namespace sluice::tools
