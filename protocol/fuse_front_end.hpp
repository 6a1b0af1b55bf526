// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/fd_store.hpp"
#include "base/worker_pool.hpp"
#include "protocol/front_end.hpp"
#include "protocol/fuse_files.hpp"
#include "protocol/fuse_mount.hpp"
#include "protocol/fuse_objects.hpp"
#include "protocol/fuse_session.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::protocol {

struct FuseConfig {
    std::filesystem::path mount_base; ///< the file system is mounted in a new directory below it
    std::string volume;               ///< that all blobs are in
    FuseContents contents;
    milliseconds read_deadline{30'000}; ///< of a READ that waits for its blob, from when it came
};

/// The front end for kernels without cachefiles: each blob a read-only file in a FUSE file system of one directory,
/// named by its cookie, on which the kernel's EROFS is mounted. All calls on the loop's thread, which must never touch
/// a file of this file system, nor mount anything that does.
///
/// The connection and its state are kept in the descriptor store, under kConnection and kState, from before the first
/// request on. So a successor goes on where this process ended, however it ended.
class FuseFrontEnd final : public FrontEnd, private FuseOperations {
public:
    static constexpr std::string_view kConnection = "fuse";
    static constexpr std::string_view kState = "fuse-state";

    /// `descriptors` must outlive this object.
    FuseFrontEnd(EventLoop& loop, WorkerPool& workers, FuseConfig config, FdStore& descriptors);
    ~FuseFrontEnd() override;

    /// Takes a predecessor's file system over, or mounts one. It is served from the loop's next turn on, so that the
    /// core has until then to learn what there is. A predecessor's connection is ended only if it cannot be understood;
    /// if something else is in the way (kTransient and others), it stays for the next process.
    [[nodiscard]] Result<void> start(RequestHandler& handler) override;

    /// Detaches the file system and takes no more requests.
    void stop() override;

    /// Takes no more requests and answers none: what was not answered is the successor's.
    void leave() override;

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

    /// A predecessor's channel; null when there is none. kUnsupported and kInvalid where it cannot be understood.
    [[nodiscard]] Result<std::shared_ptr<FuseChannel>> adopt();
    [[nodiscard]] Result<std::shared_ptr<FuseChannel>> mount();
    void forget();
    void serve(RequestHandler& handler);

    EventLoop& loop_;
    WorkerPool& workers_;
    FuseConfig config_;
    FdStore& descriptors_;
    std::uint64_t replayed_ = 0;
    bool left_ = false;
    std::filesystem::path directory_;
    std::optional<FuseMount> mount_;
    std::shared_ptr<FuseChannel> channel_;
    std::optional<FuseFiles> files_;
    std::shared_ptr<FuseObjects> objects_; // the Answerer of everything delivered
    std::shared_ptr<FuseSession> session_; // last: its callbacks touch all of the above
};

} // namespace sluice::protocol
