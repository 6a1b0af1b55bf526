// SPDX-License-Identifier: Apache-2.0
#include "fetcher/curl_handle.hpp"

#include "base/cleansing_delete.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <new>
#include <stdexcept>
#include <string.h> // NOLINT(modernize-deprecated-headers): strdup

namespace sluice::fetcher {

namespace {

ErrorKind kind_of(CURLcode code) noexcept
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_LOGIN_DENIED:
        return ErrorKind::kDenied;
    case CURLE_OUT_OF_MEMORY:
        return ErrorKind::kNoSpace;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ErrorKind::kInvalid;
    case CURLE_NOT_BUILT_IN:
        return ErrorKind::kUnsupported;
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_WRITE_ERROR:
    case CURLE_READ_ERROR:
    case CURLE_ABORTED_BY_CALLBACK:
        return ErrorKind::kInternal;
    default:
        return ErrorKind::kTransient; // resolving, connecting, sending, receiving: the network in
                                      // all its forms
    }
}

} // namespace

void init_curl()
{
    // Its copies of headers and bodies hold passwords and tokens.
    static const CURLcode kOutcome = curl_global_init_mem(
        CURL_GLOBAL_DEFAULT, &std::malloc, &cleansing_free, &cleansing_realloc, &::strdup, &std::calloc
    );
    if (kOutcome != CURLE_OK) {
        throw std::runtime_error{fmt::format("cannot initialise libcurl: {}", curl_easy_strerror(kOutcome))};
    }
}

CurlEasy::CurlEasy() : easy_{curl_easy_init()}
{
    if (!easy_) {
        throw std::bad_alloc{};
    }
}

void CurlEasy::add_header(const std::string& line)
{
    auto* longer = curl_slist_append(headers_.get(), line.c_str());
    if (longer == nullptr) {
        throw std::bad_alloc{};
    }
    (void)headers_.release(); // it is the tail of `longer`, or the same
    headers_.reset(longer);
}

CURLcode CurlEasy::finish_setup() noexcept
{
    if (headers_) {
        set(CURLOPT_HTTPHEADER, headers_.get());
    }
    return setup_;
}

int CurlEasy::status() const noexcept
{
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
}

CURLcode CurlEasy::meaning(CURLcode outcome) const noexcept
{
    long port = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_PRIMARY_PORT, &port);
    return outcome == CURLE_UNSUPPORTED_PROTOCOL && port != 0 ? CURLE_WEIRD_SERVER_REPLY : outcome;
}

Error curl_error(CURLcode code, std::string_view what)
{
    return Error{kind_of(code), fmt::format("{}: {}", what, curl_easy_strerror(code))};
}

} // namespace sluice::fetcher
