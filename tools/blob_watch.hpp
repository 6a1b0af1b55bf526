// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/json.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::tools {

/// How much of something is there.
struct Share {
    std::uint64_t done = 0;
    std::uint64_t total = 0;
};

/// Tells from repeated answers of GET /v1/blobs what is being downloaded: the blobs that have grown since the first
/// one.
class BlobGrowth {
public:
    /// Nothing as long as nothing has grown.
    [[nodiscard]] std::optional<Share> update(const Json& blobs);

private:
    struct Blob {
        std::uint64_t first = 0;
        bool grown = false;
    };

    std::map<std::string, Blob> blobs_;
};

/// What somebody is told, once, who has waited for an image for long.
class WaitNotice {
public:
    WaitNotice(std::string reference, TimePoint begin) : reference_{std::move(reference)}, begin_{begin} {}

    /// One line, without the full stop; nothing before two seconds have passed, and nothing after it was told. `share`
    /// is of what is being downloaded.
    [[nodiscard]] std::optional<std::string> update(const std::optional<Share>& share, TimePoint now);

private:
    std::string reference_;
    TimePoint begin_;
    bool is_told_ = false;
};

/// Of an image as GET and POST /v1/images tell of it: the cookies of all its blobs, lowest layer first.
[[nodiscard]] std::vector<std::string> cookies_of(const Json& image);

/// How much of those blobs is in the cache. What is not known counts as missing.
[[nodiscard]] Share share_of(const Json& blobs, const std::vector<std::string>& cookies);

/// The blob whose digest is `digest` ("sha256:…" or its hex digits alone), or null.
[[nodiscard]] const Json* find_blob(const Json& blobs, std::string_view digest);

/// "denied: registry.example answered 401" from a blob's last_error; empty when it has none.
[[nodiscard]] std::string last_error_of(const Json& blob);

/// A number that JSON has as a number of any kind; nothing for others and negative ones.
[[nodiscard]] std::optional<std::uint64_t> json_u64(const Json& object, const char* name);

} // namespace sluice::tools
