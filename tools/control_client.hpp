// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tools/control_api.hpp"

#include <memory>
#include <string>

namespace sluice::tools {

/// Over the daemon's Unix socket. Not thread-safe.
class ControlClient final : public ControlApi {
public:
    /// Throws std::runtime_error when libcurl or the event loop cannot be set up.
    explicit ControlClient(std::string socket);
    ~ControlClient() override;

    [[nodiscard]] Result<Json> call(
        const std::string& method, const std::string& path, const Json& body = {}, const OnBlobs& on_blobs = {}
    ) override;

private:
    class Transport;

    std::string socket_;
    std::unique_ptr<Transport> transport_;
};

} // namespace sluice::tools
