// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/front_end/object_service.hpp"
#include "protocol/device.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::daemon {

/// One way into the daemon: a device, and the service that answers what it brings. The ids of objects are the
/// device's, so each has a service of its own; what is registered and the hash trees are shared.
struct FrontEnd {
    std::string name;
    std::unique_ptr<protocol::Device> device; ///< outlives the objects, whose reads it answers
    std::unique_ptr<ObjectService> objects;
};

/// Which front end mounts are made with, and why.
struct MountFrontEnd {
    struct Refused {
        std::string name;
        std::string why;
    };

    std::string name;
    std::string why;
    std::string blobs_dir; ///< where each blob is a file to mount from; empty where no file is needed
    std::vector<Refused> refused;
};

/// All front ends that serve, seen as one. Loop thread only.
class FrontEnds {
public:
    FrontEnds() = default;
    FrontEnds(const FrontEnds&) = delete;
    FrontEnds& operator=(const FrontEnds&) = delete;

    /// Stops the devices; then the objects go, with their reads answered.
    ~FrontEnds() { stop(); }

    /// Starts the device, and keeps both if that works.
    [[nodiscard]] Result<void> start(FrontEnd front_end);

    void stop();

    /// A filler of an opened blob, of whichever front end has it open, or of the one that is named; null when it is not
    /// open there.
    [[nodiscard]] const BlobFiller* find(const Digest& digest, std::string_view front_end = {}) const;

    [[nodiscard]] std::size_t objects_open() const;
    [[nodiscard]] std::size_t reads_waiting() const;
    [[nodiscard]] std::uint64_t bytes_in_flight() const;

    [[nodiscard]] const std::vector<FrontEnd>& all() const noexcept { return front_ends_; }

private:
    std::vector<FrontEnd> front_ends_;
};

} // namespace sluice::daemon
