// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <filesystem>
#include <memory>

struct x509_store_st;

namespace sluice::trust {

/// Certificates of authorities, read from a PEM bundle once and shared by all connections: reading the system's takes a
/// tenth of a second, which a connection must not cost the event loop. Immutable; any thread.
class CaStore {
public:
    /// Blocks. kInvalid when the file holds no certificate.
    [[nodiscard]] static Result<CaStore> load(const std::filesystem::path& bundle);

    /// Makes a TLS context (an SSL_CTX) believe these authorities, and no others. False when memory is short.
    [[nodiscard]] bool install(void* ssl_context) const noexcept;

private:
    explicit CaStore(std::shared_ptr<x509_store_st> store) noexcept : store_{std::move(store)} {}

    std::shared_ptr<x509_store_st> store_;
};

/// The system's bundle; empty where there is none.
[[nodiscard]] std::filesystem::path system_ca_bundle();

} // namespace sluice::trust
