// SPDX-License-Identifier: Apache-2.0
//
// The small fields of a response: Content-Range, Retry-After, and the query of an address that we are sent to.
#include "fetcher/content_range.hpp"
#include "fetcher/http_status.hpp"
#include "fetcher/redirects.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sluice;
    const std::string text(static_cast<const char*>(static_cast<const void*>(data)), size);
    if (const auto parsed = fetcher::parse_content_range(text)) {
        const bool sound = !parsed->range.empty() && parsed->range.end() <= parsed->total;
        const auto again = "bytes " + parsed->range.to_string() + '/' + std::to_string(parsed->total);
        if (!sound || fetcher::parse_content_range(again) != parsed) {
            std::abort();
        }
    }
    const auto wait = fetcher::parse_retry_after(text, 1'767'323'045);
    const auto life =
        fetcher::signed_url_lifetime("https://x/y?" + text, fetcher::WallClock::from_time_t(1'767'323'045));
    if ((wait && wait->count() < 0) || life.count() < 0) {
        std::abort();
    }
    return 0;
}
