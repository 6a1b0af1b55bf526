// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"

#include <memory>
#include <string>
#include <string_view>

// Declared here so that headers of this folder can be included where OpenSSL's own may not be.
struct bio_st;
struct evp_md_ctx_st;
struct evp_pkey_st;

namespace sluice::trust {

struct OpensslDeleter {
    void operator()(bio_st* bio) const noexcept;
    void operator()(evp_md_ctx_st* context) const noexcept;
    void operator()(evp_pkey_st* key) const noexcept;
};

using BioPtr = std::unique_ptr<bio_st, OpensslDeleter>;
using MdContextPtr = std::unique_ptr<evp_md_ctx_st, OpensslDeleter>;
using PkeyPtr = std::unique_ptr<evp_pkey_st, OpensslDeleter>;

/// Empties this thread's OpenSSL error queue into one line; "no reason given" when it was empty.
[[nodiscard]] std::string take_openssl_errors();

} // namespace sluice::trust
