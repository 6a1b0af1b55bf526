// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/worker_pool.hpp"
#include "protocol/front_end.hpp"
#include "protocol/fuse_mount.hpp"
#include "protocol/fuse_session.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::protocol {

class FuseObjects;

struct FuseConfig {
    std::filesystem::path mount_base; ///< the file system is mounted in a new directory below it
    std::string volume;               ///< that all blobs are in

    /// What there is to be seen. On the loop's thread; must not wait.
    std::function<std::optional<std::uint64_t>(std::string_view cookie)> size_of;
    std::function<std::vector<std::string>()> cookies; ///< sorted
};

/// The front end for kernels without cachefiles: each blob a read-only file in a FUSE file system of one directory,
/// named by its cookie, on which the kernel's EROFS is mounted. All calls on the loop's thread, which must never touch
/// a file of this file system, nor mount anything that does.
class FuseFrontEnd final : public FrontEnd, private FuseOperations {
public:
    FuseFrontEnd(EventLoop& loop, WorkerPool& workers, FuseConfig config);
    ~FuseFrontEnd() override;

    /// Mounts the file system and serves it.
    [[nodiscard]] Result<void> start(RequestHandler& handler) override;

    /// Detaches the file system and takes no more requests.
    void stop() override;

    [[nodiscard]] Capabilities capabilities() const override;
    [[nodiscard]] FrontEndStats stats() const override;

    /// Where the blobs' files are, once started.
    [[nodiscard]] const std::filesystem::path& directory() const noexcept { return directory_; }

private:
    void lookup(FuseRequest request, std::string name) override;
    void get_attributes(FuseRequest request, std::uint64_t inode) override;
    void open(FuseRequest request, std::uint64_t inode) override;
    void read(FuseRequest request, std::uint64_t handle, std::uint64_t offset, std::size_t size) override;
    void release(FuseRequest request, std::uint64_t handle) override;
    void list(FuseRequest request, std::uint64_t from, std::size_t room) override;
    void ended() override;

    void ask(ObjectId object, ByteRange range, FuseRequest request, bool found_hole);
    [[nodiscard]] const std::string* name_of(std::uint64_t inode) const;

    EventLoop& loop_;
    WorkerPool& workers_;
    FuseConfig config_;
    RequestHandler* handler_ = nullptr;
    FrontEndStats stats_;
    std::filesystem::path directory_;
    std::map<std::string, std::uint64_t, std::less<>> inodes_; ///< of all names that were ever looked up
    std::vector<std::string> names_;                           ///< by inode, beginning behind the root's
    std::optional<FuseMount> mount_;
    std::shared_ptr<FuseFrontEnd*> self_;  // what deferred calls hold weakly
    std::shared_ptr<FuseObjects> objects_; // the Answerer of everything delivered
    std::unique_ptr<FuseSession> session_; // last: its callbacks touch all of the above
};

} // namespace sluice::protocol
