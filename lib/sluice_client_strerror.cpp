// SPDX-License-Identifier: Apache-2.0
//
// What the client's negative results mean here, which is more special than what strerror(3) says of the same numbers.
#include "lib/sluice_client.h"

#include <algorithm>
#include <array>
#include <cerrno>

namespace {

struct Meaning {
    int code;
    const char* text;
};

constexpr std::array<Meaning, 19> kMeanings{{
    {0, "success"},
    {EACCES, "access refused, by the daemon or by the registry"},
    {EBADMSG, "not what was signed: the bytes do not match the image's hash tree"},
    {EBUSY, "too many requests or clients at once"},
    {ECANCELED, "cancelled"},
    {ECONNREFUSED, "no daemon listens at the socket"},
    {EINVAL, "an argument makes no sense"},
    {EIO, "the bytes could not be had; the daemon's log says why"},
    {EMFILE, "too many blobs, or files, are open"},
    {ENAMETOOLONG, "the name is too long"},
    {ENODATA, "no repository has the bytes any more"},
    {ENOENT, "there is no such blob, image or socket"},
    {ENOMEM, "no memory"},
    {ENOSPC, "the cache has no room, or is below its stop limits"},
    {ENOTUNIQ, "registered images disagree about this digest: name the image and the layer"},
    {EPROTONOSUPPORT, "daemon and library are too far apart in age"},
    {ESHUTDOWN, "the connection was closed"},
    {ESTALE, "the daemon has another blob of that name"},
    {ETIMEDOUT, "not within the time-out"},
}};

} // namespace

const char* sluice_strerror(int64_t result)
{
    const auto code = result > 0 ? 0 : -result; // INT64_MIN is none of ours
    const auto* const found = std::ranges::find(kMeanings, code, &Meaning::code);
    return found == kMeanings.end() ? "an error that the library has no words for" : found->text;
}
