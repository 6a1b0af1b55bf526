// SPDX-License-Identifier: Apache-2.0
#include "fetcher/curl_setup.hpp"

#include "fetcher/url.hpp"

#include <algorithm>
#include <chrono>

namespace sluice::fetcher {

namespace {

long to_long(milliseconds span) noexcept
{
    return static_cast<long>(std::clamp<milliseconds::rep>(span.count(), 1, 1'000'000'000));
}

CURLcode put_authorities(CURL* /*easy*/, void* ssl_context, void* authorities) noexcept
{
    const auto& put = *static_cast<const std::function<bool(void*)>*>(authorities);
    return put(ssl_context) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

} // namespace

void set_up_request(
    CurlEasy& easy,
    const HttpOptions& options,
    const std::string& url,
    const std::vector<std::string>& headers,
    Deadline deadline
)
{
    easy.set(CURLOPT_URL, url);
    easy.set(CURLOPT_PROTOCOLS_STR, "http,https");
    easy.set(CURLOPT_FOLLOWLOCATION, 0L);
    const auto origin = origin_of(url); // where it is no URL, libcurl says so
    easy.set(CURLOPT_PROXY, origin ? options.proxies.choose(*origin) : std::string{});
    easy.set(CURLOPT_NOPROXY, "");
    easy.set(CURLOPT_USERAGENT, options.user_agent);
    easy.set(CURLOPT_CONNECTTIMEOUT_MS, to_long(options.connect_timeout));
    // The millisecond that remaining() cuts off: when libcurl gives up, the deadline has passed, and kTimeout is the
    // word for it.
    easy.set(CURLOPT_TIMEOUT_MS, to_long(deadline.remaining() + milliseconds{1}));
    easy.set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    const auto stall = std::chrono::ceil<std::chrono::seconds>(options.stall_timeout);
    easy.set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(std::max<std::chrono::seconds::rep>(stall.count(), 1)));
    easy.set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    if (url.starts_with("https:")) {
        // Wait for the first connection to tell whether it can be shared, rather than open many.
        easy.set(CURLOPT_PIPEWAIT, 1L);
    }
    easy.set(CURLOPT_TCP_NODELAY, 1L);
    easy.set(CURLOPT_TCP_KEEPALIVE, 1L);
    easy.set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (options.authorities) {
        easy.set(CURLOPT_CAINFO, nullptr);
        easy.set(CURLOPT_CAPATH, nullptr);
        easy.set(CURLOPT_SSL_CTX_FUNCTION, &put_authorities);
        // libcurl hands it back as it was given
        easy.set(CURLOPT_SSL_CTX_DATA, const_cast<void*>(static_cast<const void*>(&options.authorities)));
    } else if (!options.ca_file.empty() || !options.ca_directory.empty()) {
        easy.set(CURLOPT_CAINFO, options.ca_file.empty() ? nullptr : options.ca_file.c_str());
        easy.set(CURLOPT_CAPATH, options.ca_directory.empty() ? nullptr : options.ca_directory.c_str());
    }
    easy.add_header("Accept-Encoding: identity");
    easy.add_header("Expect:");
    for (const auto& header : headers) {
        easy.add_header(header);
    }
}

} // namespace sluice::fetcher
