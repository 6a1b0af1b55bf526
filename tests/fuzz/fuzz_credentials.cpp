// SPDX-License-Identifier: Apache-2.0
//
// docker's config.json, what credential helpers print, and what token servers answer.
#include "fetcher/credentials.hpp"
#include "fetcher/token_request.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice::fetcher;
    const std::string_view text{static_cast<const char*>(static_cast<const void*>(data)), size};
    if (const auto file = CredentialFile::parse(text, "config.json")) {
        for (const auto* repository : {"quay.io/team/app", "docker.io/library/debian", "localhost:5000/a"}) {
            const auto found = file->find(*Repository::parse(repository));
            if (found.helper.find('/') != std::string::npos) {
                std::abort(); // it would be run by its path
            }
        }
    }
    (void)parse_helper_output(text, "docker-credential-x");
    if (const auto token = parse_token(text); token && token->value.find_first_of("\r\n") != std::string::npos) {
        std::abort(); // it goes into a header
    }
    return 0;
}
