// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/front_end/object_service.hpp"
#include "protocol/front_end.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace sluice::daemon {

/// Which front end mounts are made with, and why.
struct MountFrontEnd {
    struct Refused {
        std::string name;
        std::string why;
    };

    std::string name;
    std::string why;
    std::string blobs_dir;    ///< where each blob is a file to mount from; empty where no file is needed
    std::string mount_source; ///< of EROFS mounts that this daemon serves; empty where a file is the source
    bool needs_complete = false;
    bool can_restore = false;
    std::vector<Refused> refused;
};

/// All front ends that serve, seen as one. The ids of objects are the front end's, so each has an ObjectService of its
/// own; the blobs are shared. Loop thread only.
class FrontEnds {
public:
    struct Served {
        std::unique_ptr<protocol::FrontEnd> front_end; ///< outlives the objects, whose reads it answers
        std::unique_ptr<ObjectService> objects;
    };

    FrontEnds() = default;
    FrontEnds(const FrontEnds&) = delete;
    FrontEnds& operator=(const FrontEnds&) = delete;

    /// Stops the front ends; then the objects go, with their reads answered.
    ~FrontEnds() { stop(); }

    /// Starts the front end, and keeps both if that works.
    [[nodiscard]] Result<void> start(Served served);

    /// For good: what is mounted ends. After this or leave() both do nothing.
    void stop();
    /// What is mounted stays, for a successor.
    void leave();

    [[nodiscard]] std::size_t objects_open() const;

    [[nodiscard]] const std::vector<Served>& all() const noexcept { return served_; }

private:
    std::vector<Served> served_;
    bool ended_ = false;
};

} // namespace sluice::daemon
