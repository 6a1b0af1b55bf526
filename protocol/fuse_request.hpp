// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

struct fuse_req;
struct fuse_session;

namespace sluice::protocol {

/// libfuse's session; the last who needs it closes it, which ends the file system for all who use it.
using FuseSessionPtr = std::shared_ptr<fuse_session>;

/// Number and size of a file, as the kernel is told.
struct FuseFile {
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
};

inline constexpr std::uint64_t kFuseRoot = 1;

/// One request of the kernel's, which somebody sleeps on. Answered exactly once on every path: the destructor says EIO.
/// Move-only; may be answered from any thread. Each answer is true when the kernel still wanted it.
class FuseRequest {
public:
    FuseRequest() noexcept = default;

    FuseRequest(FuseSessionPtr session, fuse_req* request) noexcept : session_{std::move(session)}, request_{request} {}

    FuseRequest(FuseRequest&& other) noexcept
        : session_{std::move(other.session_)}, request_{std::exchange(other.request_, nullptr)}
    {}

    FuseRequest& operator=(FuseRequest&& other) noexcept;
    FuseRequest(const FuseRequest&) = delete;
    FuseRequest& operator=(const FuseRequest&) = delete;
    ~FuseRequest();

    bool error(int code); ///< a positive errno; 0 where success has nothing to say
    bool entry(const FuseFile& file);
    bool attributes(const FuseFile& file);
    bool opened(std::uint64_t handle);
    bool data(std::span<const std::byte> bytes);

private:
    /// Gives the request out for its one answer.
    [[nodiscard]] fuse_req* take() noexcept { return std::exchange(request_, nullptr); }

    FuseSessionPtr session_;
    fuse_req* request_ = nullptr;
};

/// The entries of a directory as READDIR wants them, up to `room` bytes of them.
class FuseListing {
public:
    explicit FuseListing(std::size_t room) : room_{room} {}

    /// `next` is what the kernel will ask to go on from. False when there is no room left.
    bool add(const std::string& name, std::uint64_t inode, bool directory, std::uint64_t next);

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span{bytes_}); }

private:
    std::size_t room_;
    std::string bytes_;
};

} // namespace sluice::protocol
