// SPDX-License-Identifier: Apache-2.0
#include "fetcher/targets.hpp"

#include "fetcher/reference.hpp"
#include "fetcher/source.hpp"

namespace sluice::fetcher {

Targets::Targets(EventLoop& loop, Sources& sources, Sha256Function sha256)
    : registry_{sources.session()}, layout_{loop, sha256}
{}

ImageTarget& Targets::images(const std::string& repository) noexcept
{
    return is_layout(repository) ? static_cast<ImageTarget&>(layout_) : registry_;
}

} // namespace sluice::fetcher
