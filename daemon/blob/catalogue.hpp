// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/result.hpp"
#include "daemon/blob/blob_info.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string_view>

namespace sluice::daemon {

/// The blobs that may be served: those of images whose signature was verified. In memory, so that an OPEN never waits;
/// filled from the store at start and by registration. One entry for each identity_of(): a manifest that tells lies
/// about a digest gets an entry of its own, and keeps nobody else's blob out. Loop thread only.
class Catalogue {
public:
    struct Entry {
        BlobInfo info;
        std::optional<Error> last_error;             ///< why it could last not be read
        std::optional<std::uint64_t> stored_bytes{}; ///< in its backing file; nothing since somebody last used it
    };

    /// Adds a blob, or its repositories to those of the same blob: the newest come first.
    Entry& add(BlobInfo blob);

    [[nodiscard]] Entry* find(const Digest& identity);
    [[nodiscard]] const Entry* find(const Digest& identity) const;

    /// By cookie_of().
    [[nodiscard]] const Entry* find_cookie(std::string_view cookie) const;

    /// The blob that manifests call `digest`. kNotFound when there is none; kInvalid when manifests disagree about it,
    /// so that the digest alone does not say which is meant.
    [[nodiscard]] Result<const BlobInfo*> find_digest(const Digest& digest) const;

    void remove(const Digest& identity);

    /// Told of each blob that came or went.
    std::function<void(const Digest& identity)> on_change;

    /// By identity.
    [[nodiscard]] const std::map<Digest, Entry>& entries() const noexcept { return entries_; }

private:
    std::map<Digest, Entry> entries_; ///< ordered, for stable listings
    std::multimap<Digest, Digest> by_digest_;
};

} // namespace sluice::daemon
