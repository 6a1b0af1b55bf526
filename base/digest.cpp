// SPDX-License-Identifier: Apache-2.0
#include "base/digest.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sluice {

Result<Digest> Digest::parse(std::string_view text)
{
    constexpr std::string_view kPrefix = "sha256:";
    if (!text.starts_with(kPrefix)) {
        return fail(
            ErrorKind::kInvalid, fmt::format("digest \"{}\": must be sha256:<64 hex digits>", printable(text, 100))
        );
    }
    return parse_hex(text.substr(kPrefix.size()));
}

Result<Digest> Digest::parse_hex(std::string_view hex)
{
    Bytes bytes{};
    if (!decode_hex(hex, bytes)) {
        return fail(
            ErrorKind::kInvalid, fmt::format("digest \"{}\": must be 64 lower-case hex digits", printable(hex, 100))
        );
    }
    return Digest{bytes};
}

std::string Digest::hex() const
{
    return encode_hex(bytes_);
}

std::string Digest::to_string() const
{
    return "sha256:" + hex();
}

} // namespace sluice
