// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "fetcher/image_target.hpp"
#include "fetcher/layout_push.hpp"
#include "fetcher/registry_push.hpp"

namespace sluice::fetcher {

class Sources;

/// All that writes to registries and image layouts, with the standing that `sources` has with the registries. On the
/// loop's thread; must outlive the tasks of what it names, and `sources` it.
class Targets {
public:
    Targets(EventLoop& loop, Sources& sources, Sha256Function sha256);

    [[nodiscard]] ImageTarget& images(const std::string& repository) noexcept;

private:
    RegistryPush registry_;
    LayoutPush layout_;
};

} // namespace sluice::fetcher
