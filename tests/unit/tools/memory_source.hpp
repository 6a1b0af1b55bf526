// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.hpp"
#include "fetcher/image_source.hpp"
#include "fetcher/image_target.hpp"
#include "trust/hasher.hpp"

#include <map>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::tools {

/// A registry in memory that takes what is pushed, and notes in which order. Refuses blobs that are not what their
/// digest says, as real ones do. `fail_at` makes that step fail.
class MemorySource final : public fetcher::ImageSource, public fetcher::ImageTarget {
public:
    std::map<std::string, std::string> blobs;     ///< by digest
    std::map<std::string, std::string> manifests; ///< by tag or digest
    std::vector<std::string> steps;
    std::string fail_at;

    Task<Result<fetcher::RawManifest>> fetch_manifest(std::string, std::string tag_or_digest, Deadline) override
    {
        const auto it = manifests.find(tag_or_digest);
        if (it == manifests.end()) {
            co_return fail(ErrorKind::kNotFound, tag_or_digest + ": no such manifest");
        }
        fetcher::RawManifest raw;
        raw.bytes = it->second;
        raw.digest = trust::sha256(as_byte_span(raw.bytes));
        co_return raw;
    }

    Task<Result<std::string>> fetch_small_blob(fetcher::BlobLocation blob, std::size_t, Deadline) override
    {
        co_return blobs.at(blob.digest.to_string());
    }

    Task<Result<bool>> blob_exists(std::string, Digest digest, Deadline) override
    {
        co_return blobs.count(digest.to_string()) != 0;
    }

    Task<Result<void>>
    push_blob(std::string, int fd, Digest digest, std::uint64_t size, fetcher::PushProgress progress, Deadline) override
    {
        std::string bytes(size, '\0');
        if (::pread(fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(size)) {
            co_return fail(ErrorKind::kInvalid, "the file is shorter than was said");
        }
        progress(size);
        co_return store(std::move(bytes), digest, "blob");
    }

    Task<Result<void>> push_blob_bytes(std::string, std::string bytes, Digest digest, Deadline) override
    {
        co_return store(std::move(bytes), digest, "bytes");
    }

    Task<Result<void>>
    put_manifest(std::string, std::string tag_or_digest, std::string, std::string bytes, Deadline) override
    {
        const auto step = "put " + (tag_or_digest.starts_with("sha256:") ? "digest" : tag_or_digest);
        steps.push_back(step);
        if (step == fail_at) {
            co_return fail(ErrorKind::kTransient, "failed as told");
        }
        manifests[trust::sha256(as_byte_span(bytes)).to_string()] = bytes;
        manifests[tag_or_digest] = std::move(bytes);
        co_return Result<void>{};
    }

private:
    Result<void> store(std::string bytes, const Digest& digest, const std::string& step)
    {
        steps.push_back(step);
        if (step == fail_at) {
            return fail(ErrorKind::kTransient, "failed as told");
        }
        if (trust::sha256(as_byte_span(bytes)) != digest) {
            return fail(ErrorKind::kCorrupt, "the bytes are not the digest's");
        }
        blobs[digest.to_string()] = std::move(bytes);
        return {};
    }
};

} // namespace sluice::tools
