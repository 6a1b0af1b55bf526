// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/result.hpp"
#include "daemon/blob/blob_tree.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::daemon {

/// The blobs that may be served: those of images whose signature was verified. In memory, so that an OPEN never waits;
/// filled from the store at start and by registration. Loop thread only.
class Catalogue {
public:
    struct Entry {
        std::shared_ptr<BlobTree> tree;
        std::optional<Error> last_error; ///< why it could last not be read, while it was open
    };

    explicit Catalogue(FillServices& services) : services_{services} {}

    /// The tree of a blob that is known, or a new one, which nobody is served from before it is added. A different root
    /// or size for a known digest is refused: one blob has one content, so one of the two manifests lies.
    [[nodiscard]] Result<std::shared_ptr<BlobTree>> candidate(BlobInfo blob) const;

    /// Adds a candidate whose root was seen to be right (else the wrong one would keep the right one out), or adds
    /// `repositories` to the same blob's if that has been added meanwhile; refuses as candidate() does.
    [[nodiscard]] Result<void>
    add(const std::shared_ptr<BlobTree>& proved, const std::vector<std::string>& repositories);

    /// Both in one, for what was proved earlier.
    [[nodiscard]] Result<std::shared_ptr<BlobTree>> add(BlobInfo blob);

    [[nodiscard]] Entry* find(const Digest& digest);

    /// A cookie key is the 64 hex digits of a blob's digest.
    [[nodiscard]] Entry* find_cookie(std::string_view cookie);

    void remove(const Digest& digest) { entries_.erase(digest); }

    [[nodiscard]] const std::map<Digest, Entry>& entries() const noexcept { return entries_; }

private:
    FillServices& services_;
    std::map<Digest, Entry> entries_; ///< ordered, for stable listings
};

} // namespace sluice::daemon
