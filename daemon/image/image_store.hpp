// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "cache/metadata_store.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace sluice::daemon {

/// The store thread: owns the database, so that the loop never waits for it. Loop thread only.
class ImageStore {
public:
    /// Opens the database (in the calling thread: at start) and says so when a damaged one had to be moved aside.
    [[nodiscard]] static Result<std::unique_ptr<ImageStore>> open(EventLoop& loop, const std::filesystem::path& file);

    ImageStore(EventLoop& loop, cache::MetadataStore store);

    /// At start, before the loop runs; blocks.
    [[nodiscard]] Result<std::vector<cache::ImageRecord>> load_images();

    [[nodiscard]] Task<Result<void>> put_image(cache::ImageRecord image);
    [[nodiscard]] Task<Result<bool>> remove_image(std::string reference);

    /// What is still to be written is written.
    ~ImageStore();
    ImageStore(const ImageStore&) = delete;
    ImageStore& operator=(const ImageStore&) = delete;

    /// Notes when blobs were used; soon, in batches, and without telling of failures: times are hints.
    void touch(const cache::BlobKey& blob, cache::WallTime at);

private:
    void flush_touches();

    EventLoop& loop_;
    cache::MetadataStore store_; ///< belongs to the thread below, once the loop runs
    std::vector<cache::BlobTouch> touches_;
    Timer flush_;
    WorkerPool thread_{1, "store"}; // last: its jobs use store_
};

} // namespace sluice::daemon
