// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "protocol/fuse_request.hpp"

#include <cstddef>
#include <cstdint>
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
    /// One for each answered open().
    virtual void release(FuseRequest request, std::uint64_t handle) = 0;
    virtual void list(FuseRequest request, std::uint64_t from, std::size_t room) = 0;

    /// The file system is gone: unmounted everywhere, or its connection was cut.
    virtual void ended() = 0;
};

/// Serves a mounted file system's session in the event loop: a bounded number of requests a turn. Loop thread only.
class FuseSession {
public:
    /// `operations` must outlive this object. Nothing is served before start().
    [[nodiscard]] static Result<std::unique_ptr<FuseSession>>
    make(EventLoop& loop, UniqueFd descriptor, FuseOperations& operations);

    FuseSession(const FuseSession&) = delete;
    FuseSession& operator=(const FuseSession&) = delete;
    ~FuseSession();

    void start();

    /// No more requests are taken; those that were can still be answered.
    void stop() { source_.reset(); }

private:
    struct Buffer;

    FuseSession(EventLoop& loop, FuseOperations& operations);
    void drain();
    [[nodiscard]] bool take_one();

    friend struct FuseCallbacks;

    EventLoop& loop_;
    FuseOperations& operations_;
    FuseSessionPtr session_;
    std::unique_ptr<Buffer> buffer_;
    std::unique_ptr<IoSource> source_; // last: its callback touches all of the above
};

} // namespace sluice::protocol
