// SPDX-License-Identifier: Apache-2.0
// The small decoders that every folder hands foreign text to: what decodes must encode to the same
// text again.
#include "base/text.hpp"
#include "tests/fuzz/require.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
    const std::string text(data, data + size);

    if (const auto bytes = sluice::decode_base64(text)) {
        require(sluice::encode_base64(*bytes) == text);
    }
    std::vector<std::byte> decoded(text.size() / 2);
    if (text.size() % 2 == 0 && sluice::decode_hex(text, decoded)) {
        require(sluice::encode_hex(decoded) == text);
    }
    if (const auto number = sluice::parse_u64(text)) {
        require(sluice::parse_size(text) == number);
    }
    (void)sluice::parse_duration(text);

    for (const char c : sluice::printable(text)) {
        require(c >= ' ' && c <= '~');
    }
    std::string joined;
    for (const auto part : sluice::split(text, ',')) {
        joined.append(part).push_back(',');
    }
    require(joined == text + ',');
    require(sluice::trim(text).size() <= text.size());
    return 0;
}
