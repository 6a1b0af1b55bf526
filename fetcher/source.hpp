// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/aligned_buffer.hpp"
#include "fetcher/image_source.hpp"
#include "fetcher/registry_options.hpp"

#include <memory>

namespace sluice::fetcher {

class BlobFetcher;
class BufferGate;
class OciLayout;
class RegistryImages;
class RegistrySession;

/// Owns all that reads from registries and image layouts, and says which of it is for a repository. Nothing goes
/// through this object: who asks it talks to what it names.
/// On the loop's thread. Uses the pool's on_available(), so nobody else may. Must outlive the tasks of what it names.
class Sources {
public:
    /// Throws std::runtime_error when libcurl cannot be set up. `pool` must outlive this object.
    Sources(EventLoop& loop, RegistryOptions options, BufferPool& pool, Sha256Function sha256);
    Sources(const Sources&) = delete;
    Sources& operator=(const Sources&) = delete;
    ~Sources();

    /// For ranges of the blobs there.
    [[nodiscard]] BlobSource& blobs(const std::string& repository) noexcept;

    /// For manifests and small blobs there.
    [[nodiscard]] ImageSource& images(const std::string& repository) noexcept;

    /// Our standing with the registries, for who writes to them too.
    [[nodiscard]] RegistrySession& session() noexcept { return *session_; }

    [[nodiscard]] const FetchCounters& counters() const noexcept;

private:
    std::unique_ptr<BufferGate> buffers_;
    std::unique_ptr<RegistrySession> session_;
    std::unique_ptr<BlobFetcher> ranges_;
    std::unique_ptr<RegistryImages> registry_;
    std::unique_ptr<OciLayout> layout_;
};

} // namespace sluice::fetcher
