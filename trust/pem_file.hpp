// SPDX-License-Identifier: Apache-2.0
// Private to trust/: what public and private keys share.
#pragma once

#include "base/result.hpp"
#include "trust/openssl_ptr.hpp"
#include "trust/public_key.hpp"

#include <filesystem>
#include <string>
#include <string_view>

struct evp_md_st;

namespace sluice::trust {

/// The file's text; at most 64 KiB. `what` it is called in errors is its path.
[[nodiscard]] Result<std::string> read_pem_file(const std::filesystem::path& file);

/// A reader over `pem`, which must outlive it. Throws std::bad_alloc.
[[nodiscard]] BioPtr open_pem(std::string_view pem);

/// A passphrase callback that never asks: a daemon has no terminal, and a tool must not surprise.
int refuse_passphrase(char* out, int size, int writing, void* unused) noexcept;

/// What a key of this type hashes with before it signs; null for Ed25519.
[[nodiscard]] const evp_md_st* digest_for(KeyType type) noexcept;

} // namespace sluice::trust
