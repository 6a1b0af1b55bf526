// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/bare_curl.hpp"

#include <curl/curl.h>
#include <memory>

namespace sluice::bench {

namespace {

std::size_t throw_away(char*, std::size_t size, std::size_t count, void* total)
{
    *static_cast<std::uint64_t*>(total) += size * count;
    return size * count;
}

struct Handle {
    explicit Handle(const std::string& url) : curl{curl_easy_init()}
    {
        curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, throw_away);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
        curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L * 1024);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    }

    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    ~Handle() { curl_easy_cleanup(curl); }

    bool get(ByteRange range)
    {
        received = 0;
        const auto text = range.to_string();
        curl_easy_setopt(curl, CURLOPT_RANGE, text.c_str());
        return curl_easy_perform(curl) == CURLE_OK && received == range.size();
    }

    CURL* curl;
    std::uint64_t received = 0;
};

} // namespace

std::function<bool(ByteRange)> bare_curl(const std::string& url)
{
    return [handle = std::make_shared<Handle>(url)](ByteRange range) { return handle->get(range); };
}

} // namespace sluice::bench
