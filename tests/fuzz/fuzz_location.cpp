// SPDX-License-Identifier: Apache-2.0
//
// A registry's Location header, and its link to the next page: where it leads is a URL that can be asked, and never
// from https to http.
#include "fetcher/url.hpp"
#include "tests/fuzz/require.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice::fetcher;
    const std::string location{data, data + size};
    for (const std::string base : {"https://registry.example:5000/v2/a/blobs/x?y=1", "http://[::1]/v2/"}) {
        const auto next = resolve_location(base, location);
        if (!next) {
            require(!next.error().text().empty());
            continue;
        }
        const auto origin = origin_of(*next);
        require(origin.has_value());
        require(!origin->host.empty() && !origin->port.empty());
        require(origin->scheme == "https" || (origin->scheme == "http" && base.starts_with("http:")));
        require(public_url(*next).find_first_of("?#\n") == std::string::npos);
        require(query_field(with_query(*next, {{"n", "1 &"}}), "missing").empty());
    }
    return 0;
}
