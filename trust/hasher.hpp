// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "trust/openssl_ptr.hpp"

#include <cstddef>
#include <span>

namespace sluice::trust {

/// SHA-256 of `bytes`. Thread-safe; each thread keeps one context, so that 4 KiB blocks run at the
/// processor's own speed. Throws std::bad_alloc when OpenSSL has no memory or no SHA-256 at all (a
/// broken installation).
[[nodiscard]] Digest sha256(std::span<const std::byte> bytes);

/// SHA-256 of bytes that come in pieces. Not thread-safe.
class Hasher {
public:
    Hasher();

    void update(std::span<const std::byte> bytes);

    /// The digest of all pieces since the last finish(); the hasher is as new afterwards.
    [[nodiscard]] Digest finish();

private:
    MdContextPtr context_;
};

} // namespace sluice::trust
