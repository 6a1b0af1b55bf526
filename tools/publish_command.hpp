// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"
#include "base/result.hpp"
#include "tools/publish/publish.hpp"

#include <string>
#include <vector>

namespace sluice::tools {

/// What `sluicectl publish` was told.
struct PublishRequest {
    PublishOptions options;
    std::string ca_file;           ///< empty: the system's
    std::string passphrase_file;   ///< of the key; empty: the terminal is asked when it is needed
    std::string credentials_file;  ///< empty: docker's, where there is one
    bool insecure = false;         ///< plain http with the registry
    bool private_networks = false; ///< go where the registry leads, into networks that it is not in itself, too
};

/// Publishes, with progress on stderr if that is a terminal. SIGINT and SIGTERM end it with kCancelled, everything
/// temporary removed, and stand in `interrupted_by` then. Makes threads; call it from the main thread. Throws
/// std::runtime_error when libcurl or the event loop cannot be set up.
[[nodiscard]] Result<PublishReport> run_publish(PublishRequest request, int& interrupted_by);

[[nodiscard]] Json to_json(const PublishReport& report);

/// For people: the reference, what it consists of, who signed.
[[nodiscard]] std::string format_report(const PublishReport& report);

/// $DOCKER_CONFIG/config.json or ~/.docker/config.json, whichever exists; empty: neither.
[[nodiscard]] std::string default_credentials_file();

} // namespace sluice::tools
