// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/single_flight.hpp"
#include "cache/records.hpp"
#include "daemon/blob/blobs.hpp"
#include "daemon/blob/catalogue.hpp"
#include "daemon/image/image_store.hpp"
#include "daemon/image/layer_inspector.hpp"
#include "fetcher/image_source.hpp"
#include "trust/key_ring.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice::daemon {

/// Registers images: resolve, verify the signature, read what there is to mount, look at each layer's first block, and
/// remember all of it. Loop thread only.
class ImageService {
public:
    struct Options {
        fetcher::Platform platform;
        milliseconds deadline{60'000}; ///< of a registration, completing compressed blobs not included
        bool lazy_only = false;        ///< refuse images that would have to be completed first
        bool needs_complete = false;   ///< a compressed blob must be complete before it is mounted
    };

    struct Request {
        Request(std::string name, bool lazy, bool again) : reference{std::move(name)}, lazy_only{lazy}, refresh{again}
        {}

        std::string reference;
        bool lazy_only;
        bool refresh;          ///< ask the registry again although the image is known
        bool complete = false; ///< bring in all of its data
    };

    struct Parts {
        EventLoop& loop;
        WorkerPool& workers;
        fetcher::ImageRoute sources;
        const trust::KeyRing& keys;
        Catalogue& catalogue;
        Blobs& blobs;
        ImageStore& store;
        cache::TreeStore* trees; ///< null: none are kept
    };

    ImageService(Parts parts, Options options);

    /// At start, before the loop runs: what the store remembers, as far as the stored signatures prove it with keys
    /// that are trusted now. Blocks until workers have looked at all of it.
    [[nodiscard]] Result<void> load();

    /// The image, ready to be mounted. An image that is known already needs no network. Concurrent requests share.
    [[nodiscard]] Task<Result<cache::ImageRecord>> ensure(Request request);

    /// Forgets an image, and of its blobs those that no other image has; cached data stays. kNotFound when there is
    /// none.
    [[nodiscard]] Task<Result<void>> forget(std::string reference);

    [[nodiscard]] const std::map<std::string, cache::ImageRecord>& images() const noexcept { return images_; }

private:
    Task<Result<cache::ImageRecord>> register_image(std::string reference);

    /// An image that may be served once it is stored.
    Task<Result<cache::ImageRecord>> examine(std::string reference, Deadline deadline);
    Task<Result<cache::ImageRecord>> complete(cache::ImageRecord image, Request request);
    Task<Result<void>> complete_layer(std::string reference, std::string repository, cache::LayerRecord layer);
    /// What the layer's own, proved superblock says: a row that says "not compressed" may have been edited, and a
    /// kernel does not survive a compressed image that it takes for another.
    Task<Result<bool>> is_compressed(cache::LayerRecord layer);
    Task<Result<void>> complete_blob(Digest identity);
    void add_to_catalogue(const cache::ImageRecord& image);

    /// What no registered image has any more leaves the catalogue, and the trees that are kept on the disk.
    void drop_unused(const cache::ImageRecord& old);
    void sweep_trees();

    Parts parts_;
    Options options_;
    std::map<std::string, cache::ImageRecord> images_; ///< by normalised reference
    SingleFlight<std::string, Result<cache::ImageRecord>> registering_;
    SingleFlight<Digest, Result<void>> completing_;
};

} // namespace sluice::daemon
