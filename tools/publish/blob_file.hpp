// SPDX-License-Identifier: Apache-2.0
//
// From an image file to the blob that is pushed: [image, padded to 4096][hash tree][chunk index]. All of it blocks: for
// workers.
#pragma once

#include "base/byte_range.hpp"
#include "base/unique_fd.hpp"
#include "tools/publish/reporter.hpp"

#include <filesystem>
#include <map>
#include <memory>

namespace sluice::tools {

/// A finished blob in a temporary file.
struct BlobFile {
    std::shared_ptr<UniqueFd> fd; ///< shared, so that a cancelled worker still has it
    std::string name;             ///< for texts: of the file that it was made from
    Digest digest;
    std::uint64_t size = 0;
    std::uint64_t given_size = 0; ///< of the file before it was padded
    std::uint64_t data_size = 0;  ///< the padded image's, = hash_offset
    Digest root;
    ByteRange index;
    Digest index_digest;

    /// The annotations that say all this in the layer's descriptor.
    [[nodiscard]] std::map<std::string, std::string> annotations() const;
};

/// Opens `file` for reading and writing; an error names it.
[[nodiscard]] Result<std::shared_ptr<UniqueFd>> open_blob_file(const std::filesystem::path& file);

/// A copy of `from` at `to` (which must not exist), sharing blocks where the file system can.
[[nodiscard]] Result<std::shared_ptr<UniqueFd>>
copy_to_blob_file(const std::filesystem::path& from, const std::filesystem::path& to, const WorkerReporter& reporter);

/// Pads the file and appends tree and index.
[[nodiscard]] Result<BlobFile> seal_blob(std::shared_ptr<UniqueFd> fd, const WorkerReporter& reporter);

/// What stands in a primary image's superblock: the device blobs' tags in order, and a UUID made from its content
/// unless `keep_uuid`. Invalid when these cannot be the devices that it refers to, in this order. What could not be
/// made sure of comes back as a text for people, which is empty otherwise.
[[nodiscard]] Result<std::string>
finish_image(int fd, const std::string& name, const std::vector<BlobFile>& devices, bool keep_uuid);

} // namespace sluice::tools
