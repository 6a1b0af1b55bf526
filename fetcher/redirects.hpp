// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.hpp"
#include "base/result.hpp"
#include "fetcher/network.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>

namespace sluice::fetcher {

inline constexpr unsigned kMaxRedirects = 5;

using WallClock = std::chrono::system_clock;

/// How long a signed URL of a storage service may still be used, with a tenth to spare: S3, GCS,
/// Azure, CloudFront. Five minutes where it does not say; zero when it is over. Pure.
[[nodiscard]] milliseconds signed_url_lifetime(const std::string& url, WallClock::time_point now);

/// Where `location` (null: there was none) leads from `url`, after `hops` redirects; errors name `url`. Pure.
[[nodiscard]] Result<std::string> next_hop(const std::string& url, const std::string* location, unsigned hops);

/// Where the registry sent us for a blob, so that not each range asks it again. A value type,
/// bounded.
class RedirectCache {
public:
    struct Place {
        std::string url;
        Network home = Network::kPublic; ///< where the registry was when it sent us there
    };

    void put(const std::string& blob, Place place, milliseconds lifetime, TimePoint now);

    /// Nothing when there is none, or none any more.
    [[nodiscard]] std::optional<Place> find(const std::string& blob, TimePoint now) const;

    /// Forgets it if it is still `url`.
    void drop(const std::string& blob, const std::string& url);

private:
    struct Entry {
        Place place;
        TimePoint until;
    };

    std::map<std::string, Entry> entries_;
};

} // namespace sluice::fetcher
