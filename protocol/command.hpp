// SPDX-License-Identifier: Apache-2.0
//
// The text commands of /dev/cachefiles. One command is one write(2): no terminator, no trailing blank, and nothing
// after a newline, which the kernel would drop without a word.
#pragma once

#include "base/cache_limits.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::protocol {

inline constexpr std::size_t kCommandMax = 4095; ///< bytes; PAGE_SIZE - 1

/// kInvalid unless stop < cull < run < 100 for both.
[[nodiscard]] Result<void> validate(const CacheLimits& limits);

/// The six commands, in an order in which a kernel that stands at its defaults (7, 5, 1) accepts each: it checks every
/// one against the values that the others have at that moment.
[[nodiscard]] Result<std::vector<std::string>> limit_commands(const CacheLimits& limits);

[[nodiscard]] Result<std::string> dir_command(std::string_view path);
[[nodiscard]] Result<std::string> tag_command(std::string_view tag);
[[nodiscard]] Result<std::string> secctx_command(std::string_view context);
[[nodiscard]] std::string debug_command(std::uint32_t mask);
[[nodiscard]] std::string bind_ondemand_command();

/// `size` must fit the kernel's signed long: kInvalid otherwise.
[[nodiscard]] Result<std::string> copen_command(MessageId message, std::uint64_t size);

/// `code` is a positive errno; what is outside of 1 to 4095 goes out as EIO.
[[nodiscard]] std::string copen_error_command(MessageId message, int code);

[[nodiscard]] std::string restore_command();

/// `name` is an entry of the calling thread's working directory: no slash.
[[nodiscard]] Result<std::string> cull_command(std::string_view name);
[[nodiscard]] Result<std::string> inuse_command(std::string_view name);

} // namespace sluice::protocol
