// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace sluice {

/// The value, or why there is none. An alias, so that std::expected can take its place in one line.
template <typename T>
using Result = tl::expected<T, Error>;

using Failure = tl::unexpected<Error>;

/// `return fail(ErrorKind::kInvalid, "manifest: no layers");`
[[nodiscard]] inline Failure fail(ErrorKind kind, std::string context, int code = 0)
{
    return Failure{Error{kind, std::move(context), code}};
}

[[nodiscard]] inline Failure fail_errno(int code, std::string_view context)
{
    return Failure{Error::from_errno(code, context)};
}

/// Passes somebody else's failure on, as it is or with one more word of where it happened.
[[nodiscard]] inline Failure fail(Error error)
{
    return Failure{std::move(error)};
}

[[nodiscard]] inline Failure fail(const Error& error, std::string_view outer)
{
    return Failure{error.within(outer)};
}

} // namespace sluice
