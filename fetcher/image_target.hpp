// SPDX-License-Identifier: Apache-2.0
//
// What publishing needs, and nobody else: tests/lint keeps these headers out of daemon/.
#pragma once

#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace sluice::fetcher {

/// Told how many bytes have been sent so far; on the loop's thread.
using PushProgress = std::function<void(std::uint64_t)>;

/// A place that images are written to: a registry or an image layout directory. All of it on the loop's thread;
/// destroying a task cancels it. `repository` is a Repository's printed form.
class ImageTarget {
public:
    ImageTarget() = default;
    ImageTarget(const ImageTarget&) = delete;
    ImageTarget& operator=(const ImageTarget&) = delete;
    virtual ~ImageTarget() = default;

    [[nodiscard]] virtual Task<Result<bool>> blob_exists(std::string repository, Digest digest, Deadline deadline) = 0;

    /// Uploads `size` bytes of `fd` from offset 0. The descriptor stays the caller's and must
    /// outlive the task.
    [[nodiscard]] virtual Task<Result<void>> push_blob(
        std::string repository, int fd, Digest digest, std::uint64_t size, PushProgress progress, Deadline deadline
    ) = 0;

    [[nodiscard]] virtual Task<Result<void>>
    push_blob_bytes(std::string repository, std::string bytes, Digest digest, Deadline deadline) = 0;

    [[nodiscard]] virtual Task<Result<void>> put_manifest(
        std::string repository, std::string tag_or_digest, std::string media_type, std::string bytes, Deadline deadline
    ) = 0;
};

} // namespace sluice::fetcher
