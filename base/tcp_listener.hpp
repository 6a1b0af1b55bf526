// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <string_view>

namespace sluice {

/// "192.0.2.1:9100" or "[2001:db8::1]:9100": numbers only, so that nobody has to be asked for a name.
[[nodiscard]] bool is_tcp_address(std::string_view text) noexcept;

/// A non-blocking listener at such an address; at all of the machine's for 0.0.0.0 or [::].
[[nodiscard]] Result<UniqueFd> listen_tcp(std::string_view address);

} // namespace sluice
