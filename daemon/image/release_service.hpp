// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/function.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <memory>
#include <string>

namespace sluice::daemon {

/// One request to the service manager's sluice-release.socket: it starts `sluicectl release-layers` with capabilities
/// that the daemon itself has not. Loop thread only.
class ReleaseRequest {
public:
    /// `done` is called once with what the program had to complain of, which is nothing when all went well. It may
    /// destroy this object. Fails when nobody answers at `socket`: kNotFound where it is not there.
    [[nodiscard]] static Result<std::unique_ptr<ReleaseRequest>> send(
        EventLoop& loop,
        const std::string& socket,
        const std::string& layers_dir,
        UniqueFunction<void(std::string)> done
    );

    ReleaseRequest(const ReleaseRequest&) = delete;
    ReleaseRequest& operator=(const ReleaseRequest&) = delete;
    ~ReleaseRequest() = default;

private:
    ReleaseRequest(EventLoop& loop, UniqueFd connection, UniqueFunction<void(std::string)> done);
    void take();

    UniqueFd connection_;
    UniqueFunction<void(std::string)> done_;
    std::string complaint_;
    std::unique_ptr<IoSource> source_; // last: its callback touches all of the above
};

} // namespace sluice::daemon
