// SPDX-License-Identifier: Apache-2.0
#include "fetcher/source.hpp"

#include "fetcher/blob_fetcher.hpp"
#include "fetcher/buffer_gate.hpp"
#include "fetcher/oci_layout.hpp"
#include "fetcher/registry_images.hpp"
#include "fetcher/registry_session.hpp"

#include <utility>

namespace sluice::fetcher {

Sources::Sources(EventLoop& loop, RegistryOptions options, BufferPool& pool, Sha256Function sha256)
    : buffers_{std::make_unique<BufferGate>(loop, pool)}
    , session_{std::make_unique<RegistrySession>(loop, std::move(options))}
    , ranges_{std::make_unique<BlobFetcher>(*session_, *buffers_)}
    , registry_{std::make_unique<RegistryImages>(*session_, sha256)}
    , layout_{std::make_unique<OciLayout>(loop, *buffers_, sha256)}
{}

Sources::~Sources() = default;

BlobSource& Sources::blobs(const std::string& repository) noexcept
{
    return is_layout(repository) ? static_cast<BlobSource&>(*layout_) : *ranges_;
}

ImageSource& Sources::images(const std::string& repository) noexcept
{
    return is_layout(repository) ? static_cast<ImageSource&>(*layout_) : *registry_;
}

const FetchCounters& Sources::counters() const noexcept
{
    return session_->counters();
}

} // namespace sluice::fetcher
