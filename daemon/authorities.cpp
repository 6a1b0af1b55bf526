// SPDX-License-Identifier: Apache-2.0
#include "daemon/authorities.hpp"

#include "base/log.hpp"
#include "trust/ca_store.hpp"

#include <stdexcept>
#include <utility>

namespace sluice::daemon {

std::function<bool(void*)>
authorities(const std::optional<std::filesystem::path>& registry_ca, const std::filesystem::path& system_bundle)
{
    const auto& bundle = registry_ca ? *registry_ca : system_bundle;
    if (bundle.empty()) {
        return {};
    }
    auto store = trust::CaStore::load(bundle);
    if (!store && registry_ca) {
        throw std::runtime_error{store.error().within("registry-ca").text()};
    }
    if (!store) {
        log::warning(
            "the system's certificate authorities: {}; https registries are not reached until that is mended",
            store.error().text()
        );
        return {};
    }
    return [loaded = std::move(*store)](void* ssl_context) { return loaded.install(ssl_context); };
}

} // namespace sluice::daemon
