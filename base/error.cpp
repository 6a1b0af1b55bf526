// SPDX-License-Identifier: Apache-2.0
#include "base/error.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <system_error>

namespace sluice {

std::string_view to_string(ErrorKind kind) noexcept
{
    switch (kind) {
    case ErrorKind::kNotFound:
        return "not-found";
    case ErrorKind::kDenied:
        return "denied";
    case ErrorKind::kTransient:
        return "transient";
    case ErrorKind::kCorrupt:
        return "corrupt";
    case ErrorKind::kNoSpace:
        return "no-space";
    case ErrorKind::kCancelled:
        return "cancelled";
    case ErrorKind::kInvalid:
        return "invalid";
    case ErrorKind::kTimeout:
        return "timeout";
    case ErrorKind::kUnsupported:
        return "unsupported";
    case ErrorKind::kInternal:
        return "internal";
    }
    return "unknown";
}

namespace {

ErrorKind kind_of_errno(int code) noexcept
{
    switch (code) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return ErrorKind::kNotFound;
    case EPERM:
    case EACCES:
        return ErrorKind::kDenied;
    case EAGAIN:
    case EINTR:
    case EBUSY:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
        return ErrorKind::kTransient;
    case ENOSPC:
    case EDQUOT:
    case ENOBUFS:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return ErrorKind::kNoSpace;
    case EINVAL:
    case EILSEQ:
    case ENAMETOOLONG:
        return ErrorKind::kInvalid;
    case ETIMEDOUT:
        return ErrorKind::kTimeout;
    case EOPNOTSUPP:
    case ENOSYS:
    case ENOTTY:
        return ErrorKind::kUnsupported;
    case ECANCELED:
        return ErrorKind::kCancelled;
    default:
        return ErrorKind::kInternal;
    }
}

} // namespace

Error Error::from_errno(int code, std::string_view context)
{
    return Error{kind_of_errno(code), fmt::format("{}: {}", context, std::system_category().message(code)), code};
}

Error Error::within(std::string_view outer) const
{
    return Error{kind_, fmt::format("{}: {}", outer, context_), code_};
}

} // namespace sluice
