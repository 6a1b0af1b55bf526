// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/event_loop.hpp"
#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "trust/private_key.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::fetcher {
class ImageSource;
class ImageTarget;
} // namespace sluice::fetcher

namespace sluice::tools {

enum class InputKind : std::uint8_t { kDirectory, kTar, kErofs };

/// One layer, the lowest first.
struct PublishInput {
    InputKind kind = InputKind::kDirectory;
    std::filesystem::path path;
    std::vector<std::filesystem::path>
        devices; ///< kErofs: its extra devices (--device), in the order of its device table
};

enum class LayerMediaType : std::uint8_t {
    kErofs,        ///< application/vnd.erofs: the specification's
    kContainerd23, ///< application/vnd.erofs.layer.v1: what containerd 2.3 takes
};

/// "erofs" or "containerd-2.3"; Invalid otherwise.
[[nodiscard]] Result<LayerMediaType> parse_layer_media_type(std::string_view text);

/// Is it an architecture as Go calls them ("amd64")? Invalid otherwise, with the right word where there is one.
[[nodiscard]] Result<void> check_architecture(std::string_view text);

struct PublishOptions {
    std::string reference;            ///< registry/name:tag or oci:/path:tag; no digest
    std::filesystem::path key;        ///< PEM: signs what is published
    trust::AskPassphrase passphrase;  ///< of an encrypted key
    std::vector<PublishInput> inputs; ///< at least one
    std::string compression;          ///< mkfs.erofs -z: "lz4hc,9"; empty: none
    std::uint64_t chunk_size = 0;     ///< mkfs.erofs --chunksize, bytes; 0: files are not chunked
    bool separate_data = false;       ///< mkfs.erofs --blobdev: file data as a device blob of its own; needs chunk_size
    std::vector<std::string> mkfs_options; ///< passed on as they are; not -z, --chunksize, --blobdev
    LayerMediaType media_type = LayerMediaType::kErofs;
    std::string architecture; ///< Go's name ("amd64"); empty: this machine's
    bool index = false;       ///< publish an index with one manifest, not a bare manifest
    std::string signed_name;  ///< docker-reference in the signature; empty: the repository
};

/// Called on the loop's thread: what is being done ("pack layer 1", "push layer 1", …), how many
/// bytes of how many. `total` 0: not known (mkfs.erofs runs). Each phase ends with done == total,
/// or with the next phase.
using PublishProgress = std::function<void(const std::string& phase, std::uint64_t done, std::uint64_t total)>;

struct PublishedLayer {
    Digest digest; ///< of the blob
    std::uint64_t size = 0;
    std::uint64_t erofs_size = 0; ///< without tree and index; = the annotation hash_offset
    Digest root;
    bool is_device = false;
    bool was_there = false; ///< the registry had the blob already
};

struct PublishReport {
    std::string reference; ///< complete
    Digest digest;         ///< what the tag means now: the manifest's, or the index's with
                           ///< PublishOptions::index
    Digest manifest;
    std::vector<PublishedLayer> layers; ///< in the manifest's order
    Digest key_id;
    std::string key_name;
    std::vector<std::string> signature_tags;
    std::vector<std::string> notes; ///< for people: what was done differently than they may think
};

/// What publish() works with; all must outlive the task.
struct PublishContext {
    EventLoop& loop;
    WorkerPool& workers;
    fetcher::ImageSource& source; ///< the same place as the target
    fetcher::ImageTarget& target;
};

/// Makes layers of the inputs (mkfs.erofs, hash tree, chunk index), pushes them with their
/// manifest, signs that, and moves the tag last, so that whoever resolves the tag finds signature
/// and blobs. The same input gives the same digests. Temporary files lie in $TMPDIR (else /var/tmp)
/// and are gone when the task has ended or was destroyed.
[[nodiscard]] Task<Result<PublishReport>>
publish(PublishContext context, PublishOptions options, PublishProgress progress);

} // namespace sluice::tools
