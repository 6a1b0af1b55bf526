// SPDX-License-Identifier: Apache-2.0
//
// The messages of <linux/fuse.h> that a read-only file system of one directory has to know. Pure: no descriptor, no
// state. Host byte order.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <linux/fuse.h>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::protocol {

inline constexpr std::uint64_t kFuseRoot = FUSE_ROOT_ID;

/// The first bytes of a message that are kept. All that is understood fits; of what is longer, the head is enough.
inline constexpr std::size_t kFuseKept = 512;

/// No READ is larger: the kernel is told so at the beginning of a connection.
inline constexpr std::size_t kFuseReadMax = 1U << 20U;

/// Number and size of a file, as the kernel is told.
struct FuseFile {
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
};

/// What the kernel offers at the beginning of a connection.
struct FuseOffer {
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
    std::uint32_t max_readahead = 0;
    std::uint32_t flags = 0;
};

/// One request. Only what its operation has is set.
struct FuseMessage {
    std::uint32_t operation = 0; ///< FUSE_LOOKUP and so on; may be one that nobody here knows
    std::uint64_t unique = 0;    ///< what its answer is addressed to
    std::uint64_t node = 0;
    std::string_view name{};  ///< LOOKUP: in the message's memory; empty where it is longer than any name here
    std::uint64_t handle = 0; ///< READ, READDIR, RELEASE
    std::uint64_t offset = 0; ///< READ, READDIR
    std::uint32_t size = 0;   ///< READ, READDIR
    FuseOffer offer{};        ///< INIT
};

/// Takes the first `bytes` of a message apart: all of it, or its first kFuseKept. kInvalid where they are not what the
/// kernel sends; nothing is read beyond them.
[[nodiscard]] Result<FuseMessage> parse_fuse_message(std::span<const std::byte> bytes);

/// The `unique` of a message whose rest makes no sense, so that it can be refused; 0 where there is none.
[[nodiscard]] std::uint64_t unique_of_fuse_message(std::span<const std::byte> bytes) noexcept;

/// Whether the kernel waits for an answer.
[[nodiscard]] bool expects_answer(std::uint32_t operation) noexcept;

/// What a connection begins with. Nothing where the kernel is older than any that this code knows.
[[nodiscard]] std::optional<fuse_init_out> answer_offer(const FuseOffer& offer) noexcept;

[[nodiscard]] fuse_entry_out make_entry(const FuseFile& file) noexcept;
[[nodiscard]] fuse_attr_out make_attributes(const FuseFile& file) noexcept;
[[nodiscard]] fuse_open_out make_opened(std::uint64_t handle) noexcept;
[[nodiscard]] fuse_statfs_out make_statistics() noexcept;

/// The entries of a directory as READDIR wants them, up to `room` bytes of them.
class FuseListing {
public:
    explicit FuseListing(std::size_t room) : room_{room} {}

    /// `next` is what the kernel will ask to go on from. False when there is no room left.
    bool add(std::string_view name, std::uint64_t inode, bool directory, std::uint64_t next);

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span{bytes_}); }

private:
    std::size_t room_;
    std::string bytes_;
};

} // namespace sluice::protocol
