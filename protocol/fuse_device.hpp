// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/worker_pool.hpp"
#include "protocol/backing_file.hpp"
#include "protocol/device.hpp"
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
    std::filesystem::path mount_base;  ///< the file system is mounted in a new directory below it
    std::filesystem::path cache_dir;   ///< whose backing files are those that cachefiles would have
    std::filesystem::path private_dir; ///< see Prepopulation::Target
    std::string volume;

    /// What there is to be seen. On the loop's thread; must not wait.
    std::function<std::optional<std::uint64_t>(std::string_view cookie)> size_of;
    std::function<std::vector<std::string>()> cookies; ///< sorted
};

/// The front end for kernels without cachefiles: each blob a read-only file in a FUSE file system of one directory,
/// named by its cookie, on which the kernel's EROFS is mounted. All calls on the loop's thread, which must never touch
/// a file of this file system, nor mount anything that does.
class FuseDevice final : public Device, private FuseOperations {
public:
    FuseDevice(EventLoop& loop, WorkerPool& workers, FuseConfig config);
    ~FuseDevice() override;

    /// Mounts the file system and serves it.
    [[nodiscard]] Result<void> start(RequestHandler& handler) override;

    /// Detaches the file system and takes no more requests.
    void stop() override;

    [[nodiscard]] DeviceStats stats() const override;

    /// Where the blobs' files are, once started.
    [[nodiscard]] const std::filesystem::path& directory() const noexcept { return directory_; }

private:
    void lookup(FuseRequest request, std::string name) override;
    void get_attributes(FuseRequest request, std::uint64_t inode) override;
    void open(FuseRequest request, std::uint64_t inode) override;
    void read(FuseRequest request, std::uint64_t inode, std::uint64_t offset, std::size_t size) override;
    void release(FuseRequest request, std::uint64_t inode) override;
    void list(FuseRequest request, std::uint64_t from, std::size_t room) override;
    void ended() override;

    void ask(std::uint64_t inode, ByteRange range, FuseRequest request, bool found_hole);
    void file_opened(ObjectId object, const std::string& cookie, Result<std::shared_ptr<FileHandle>> file);
    [[nodiscard]] const std::string* name_of(std::uint64_t inode) const;

    EventLoop& loop_;
    WorkerPool& workers_;
    FuseConfig config_;
    RequestHandler* handler_ = nullptr;
    DeviceStats stats_;
    std::filesystem::path directory_;
    std::map<std::string, std::uint64_t, std::less<>> inodes_; ///< of all names that were ever looked up
    std::vector<std::string> names_;                           ///< by inode, beginning behind the root's
    std::optional<FuseMount> mount_;
    std::shared_ptr<FuseDevice*> self_;    // what deferred calls hold weakly
    std::shared_ptr<FuseObjects> objects_; // the Answerer of everything delivered
    std::unique_ptr<FuseSession> session_; // last: its callbacks touch all of the above
};

} // namespace sluice::protocol
