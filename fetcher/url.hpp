// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::fetcher {

/// Whom a URL speaks to. Secrets never cross from one origin to another.
struct Origin {
    std::string scheme;
    std::string host;
    std::string port; ///< always given

    friend bool operator==(const Origin&, const Origin&) = default;
};

/// Of an http or https URL; kInvalid for others.
[[nodiscard]] Result<Origin> origin_of(const std::string& url);

/// The target of a Location header as seen from `base`, absolute. kInvalid when it is no http(s)
/// URL; kDenied when it leads from https to http.
[[nodiscard]] Result<std::string> resolve_location(const std::string& base, const std::string& location);

/// For logs and messages: without user, password, query and fragment, which may hold secrets.
[[nodiscard]] std::string public_url(const std::string& url);

using QueryFields = std::vector<std::pair<std::string, std::string>>;

/// `fields` percent-encoded and joined as in a query or a form.
[[nodiscard]] std::string encode_fields(const QueryFields& fields);

/// `url` with `fields` added to its query.
[[nodiscard]] std::string with_query(std::string url, const QueryFields& fields);

/// The (decoded) value of a query field, or an empty string.
[[nodiscard]] std::string query_field(std::string_view url, std::string_view name);

} // namespace sluice::fetcher
