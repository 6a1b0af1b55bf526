// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

namespace sluice::daemon {

/// What HttpOptions::authorities wants. The certificates are read here, before the loop runs, and never again.
/// `registry_ca` is what the configuration says, and throws std::runtime_error when it cannot be read. `system_bundle`
/// counts otherwise; where it is empty or damaged, which is no fault of ours, the answer is empty: libcurl reads its
/// own default for each connection then.
[[nodiscard]] std::function<bool(void* ssl_context)>
authorities(const std::optional<std::filesystem::path>& registry_ca, const std::filesystem::path& system_bundle);

} // namespace sluice::daemon
