// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "protocol/fuse_request.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace sluice::protocol {

/// What a file system that cannot be written has to answer. On the loop's thread; nothing may wait.
class FuseOperations {
public:
    FuseOperations() = default;
    FuseOperations(const FuseOperations&) = delete;
    FuseOperations& operator=(const FuseOperations&) = delete;
    virtual ~FuseOperations() = default;

    /// `name` in the one directory that there is.
    virtual void lookup(FuseRequest request, std::string name) = 0;
    virtual void get_attributes(FuseRequest request, std::uint64_t inode) = 0;
    virtual void open(FuseRequest request, std::uint64_t inode) = 0;
    /// `handle` is what the open() was answered with.
    virtual void read(FuseRequest request, std::uint64_t handle, std::uint64_t offset, std::size_t size) = 0;
    /// One for each answered open(); after a predecessor's death maybe once more.
    virtual void release(FuseRequest request, std::uint64_t handle) = 0;
    virtual void list(FuseRequest request, std::uint64_t from, std::size_t room) = 0;

    /// The file system is gone: unmounted everywhere, or its connection was cut.
    virtual void ended() = 0;
};

/// Serves a mounted file system in the event loop: a bounded number of requests a turn. Loop thread only.
class FuseSession : public std::enable_shared_from_this<FuseSession> {
public:
    /// `operations` must outlive this object, or its stop().
    FuseSession(EventLoop& loop, std::shared_ptr<FuseChannel> channel, FuseOperations& operations);
    FuseSession(const FuseSession&) = delete;
    FuseSession& operator=(const FuseSession&) = delete;

    /// Handles what a predecessor took and did not answer, as if it had just come, and then what comes. The result is
    /// how many requests that were. Once.
    std::size_t start();

    /// No more requests are taken; those that were can still be answered.
    void stop();

    [[nodiscard]] bool stopped() const noexcept { return stopped_; }

private:
    void watch();
    void drain();
    [[nodiscard]] bool take_one();
    void wait_for_slot();
    void handle(std::size_t slot);
    void dispatch(FuseRequest request, const FuseMessage& message);

    EventLoop& loop_;
    std::shared_ptr<FuseChannel> channel_;
    FuseOperations& operations_;
    std::function<void()> when_free_; ///< goes on after a full channel
    bool stopped_ = false;
    bool has_told_full_ = false;
    std::unique_ptr<IoSource> source_; // last: its callback touches all of the above
};

} // namespace sluice::protocol
