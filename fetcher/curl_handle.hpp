// SPDX-License-Identifier: Apache-2.0
//
// libcurl's handles as owning types. The only header that includes curl's: handles are distinct
// types then.
#pragma once

#include "base/result.hpp"

#include <memory>
#include <string>
#include <string_view>

#ifndef CURL_STRICTER
#define CURL_STRICTER
#endif
#include <curl/curl.h>

namespace sluice::fetcher {

struct CurlDeleter {
    void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }

    void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }

    void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }

    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }

    void operator()(char* text) const noexcept { curl_free(text); }
};

template <typename T>
using CurlPtr = std::unique_ptr<T, CurlDeleter>;

/// Initialises libcurl once. Throws std::runtime_error when that fails.
void init_curl();

/// An easy handle whose options cannot fail unseen: the first failure sticks, and start-up of the
/// transfer reports it.
class CurlEasy {
public:
    /// Throws std::bad_alloc.
    CurlEasy();

    template <typename T>
    void set(CURLoption option, T value) noexcept
    {
        if (setup_ == CURLE_OK) {
            setup_ = curl_easy_setopt(easy_.get(), option, value);
        }
    }

    void set(CURLoption option, const std::string& value) noexcept { set(option, value.c_str()); }

    /// "Name: value"; "Name:" takes one of libcurl's own away.
    void add_header(const std::string& line);

    /// Hands the collected headers over; call once, last.
    [[nodiscard]] CURLcode finish_setup() noexcept;

    [[nodiscard]] int status() const noexcept;

    /// The outcome of the transfer, where libcurl's says two things: an unsupported protocol is a wrong URL, or, once
    /// there was a connection, an answer that is no HTTP.
    [[nodiscard]] CURLcode meaning(CURLcode outcome) const noexcept;

    [[nodiscard]] CURL* raw() const noexcept { return easy_.get(); }

private:
    CurlPtr<curl_slist> headers_;
    CurlPtr<CURL> easy_; // after headers_: it refers to them
    CURLcode setup_ = CURLE_OK;
};

/// What libcurl's failure means; `what` names the request ("GET https://…", without query). A
/// timeout counts as kTransient: whoever set the deadline knows whether it has passed.
[[nodiscard]] Error curl_error(CURLcode code, std::string_view what);

} // namespace sluice::fetcher
