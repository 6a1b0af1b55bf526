// SPDX-License-Identifier: Apache-2.0
//
// WWW-Authenticate: what any server may answer to an unauthenticated request.
#include "base/text.hpp"
#include "fetcher/auth_challenge.hpp"

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string text(static_cast<const char*>(static_cast<const void*>(data)), size);
    std::vector<std::string> fields;
    for (const auto line : sluice::split(text, '\n')) {
        fields.emplace_back(line);
    }
    for (const auto& challenge : sluice::fetcher::parse_challenges(fields)) {
        if (challenge.scheme.empty()) {
            std::abort();
        }
        for (const char c : challenge.scheme) {
            if (std::isupper(static_cast<unsigned char>(c)) != 0) {
                std::abort();
            }
        }
        (void)challenge.parameter("realm");
    }
    return 0;
}
