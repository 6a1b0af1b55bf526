// SPDX-License-Identifier: Apache-2.0
//
// Signed images in memory, and a place that serves them with scripted faults: what registration stands on.
#pragma once

#include "base/json.hpp"
#include "fetcher/image_source.hpp"
#include "trust/key_ring.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::test {

/// Serves manifests and blobs from memory, at once or when released. Loop thread only.
class FakeImageSource final : public fetcher::BlobSource, public fetcher::ImageSource {
public:
    FakeImageSource(EventLoop& loop, BufferPool& pool) : loop_{loop}, pool_{pool} {}

    /// Under its digest, and under `tag` when that is not empty.
    Digest add_manifest(const std::string& repository, const std::string& tag, std::string type, std::string bytes);
    Digest add_blob(std::string bytes);

    /// Asked before each answer, with "manifest NAME", "blob sha256:…" or "range sha256:… OFFSET"; an error is the
    /// answer.
    std::function<std::optional<Error>(const std::string& what)> fault;
    /// May change the bytes of ranges on their way.
    std::function<void(const Digest& blob, std::uint64_t offset, std::span<std::byte>)> tamper;

    /// While held, ranges wait.
    void hold() { held_ = true; }

    void release();

    /// How many requests asked for something that begins so.
    [[nodiscard]] std::size_t count_asked(std::string_view prefix) const;

    std::vector<std::string> asked; ///< all of them, in order
    unsigned running = 0;           ///< ranges under way
    unsigned most_running = 0;

    Task<Result<void>>
    fetch(fetcher::BlobLocation blob, ByteRange range, fetcher::ChunkSink& sink, fetcher::FetchTerms terms) override;
    Task<Result<fetcher::RawManifest>>
    fetch_manifest(std::string repository, std::string tag_or_digest, Deadline deadline) override;
    Task<Result<std::string>>
    fetch_small_blob(fetcher::BlobLocation blob, std::size_t limit, Deadline deadline) override;

private:
    [[nodiscard]] std::optional<Error> ask(std::string what);

    EventLoop& loop_;
    BufferPool& pool_;
    std::map<std::pair<std::string, std::string>, fetcher::RawManifest> manifests_; ///< by repository and name
    std::map<Digest, std::string> blobs_;
    bool held_ = false;
    std::vector<OneShot<bool>::Setter> waiting_;
};

/// The bytes of an EROFS image: a superblock, a device table, and blocks of known content. Not mountable.
struct ErofsBytes {
    std::uint64_t blocks = 4;
    bool compressed = false;
    std::vector<std::uint64_t> devices; ///< blocks of each extra device
    unsigned char seed = 1;             ///< so that images differ
    std::uint64_t table_block = 0;      ///< where the device table stands

    [[nodiscard]] std::string bytes() const;
};

/// Blocks that are no EROFS image: an extra device's.
[[nodiscard]] std::string device_bytes(std::uint64_t blocks, unsigned char seed);

/// Puts `data` with its hash tree into `source`; the layer's descriptor. `role` is "device", or empty for a layer that
/// can be mounted. With `root`, the annotation speaks of that one and not of the tree's.
[[nodiscard]] Json add_layer(
    FakeImageSource& source, const std::string& data, const std::string& role = {}, std::optional<Digest> root = {}
);

/// A manifest of these layers under `tag`; its digest.
Digest add_image(
    FakeImageSource& source, const std::string& repository, const std::string& tag, const std::vector<Json>& layers
);

/// An index of `manifest` for this machine under `tag`; its digest.
Digest
add_index(FakeImageSource& source, const std::string& repository, const std::string& tag, const Digest& manifest);

/// Signs `digest` as cosign does. A second signature of the same digest takes the first one's place.
void sign(
    FakeImageSource& source, const std::string& repository, const Digest& digest, std::string_view private_key_pem
);

} // namespace sluice::test
