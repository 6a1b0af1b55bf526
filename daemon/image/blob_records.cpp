// SPDX-License-Identifier: Apache-2.0
#include "daemon/image/blob_records.hpp"

namespace sluice::daemon {

cache::BlobRecord to_record(const BlobInfo& blob)
{
    cache::BlobRecord record;
    record.digest = blob.digest;
    record.blob_size = blob.blob_size;
    record.erofs_size = blob.erofs_size;
    record.tree_root = blob.root;
    record.tree_offset = blob.tree_offset;
    record.compressed = blob.compressed;
    return record;
}

BlobInfo to_info(const cache::BlobRecord& record, std::vector<std::string> repositories)
{
    BlobInfo blob;
    blob.digest = record.digest;
    blob.blob_size = record.blob_size;
    blob.erofs_size = record.erofs_size;
    blob.tree_offset = record.tree_offset;
    blob.root = record.tree_root;
    blob.repositories = std::move(repositories);
    blob.compressed = record.compressed;
    return blob;
}

Digest identity_of(const cache::BlobRecord& record)
{
    return identity_of(to_info(record, {}));
}

std::string cookie_of(const cache::BlobRecord& record)
{
    return identity_of(record).hex();
}

std::vector<BlobInfo> blobs_of(const cache::LayerRecord& layer, const std::string& repository)
{
    std::vector<BlobInfo> blobs;
    blobs.push_back(to_info(layer.blob, {repository}));
    for (const auto& device : layer.devices) {
        blobs.push_back(to_info(device, {repository}));
        blobs.back().compressed = layer.blob.compressed;
    }
    return blobs;
}

} // namespace sluice::daemon
