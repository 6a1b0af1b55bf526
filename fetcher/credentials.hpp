// SPDX-License-Identifier: Apache-2.0
//
// docker's config.json and podman's auth.json. Pure, but for load_credentials().
#pragma once

#include "base/result.hpp"
#include "fetcher/reference.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::fetcher {

inline constexpr std::size_t kMaxCredentialFile = 1024 * 1024;

/// Who we are at a registry. Default: nobody.
struct Credential {
    std::string username;
    std::string password;
    std::string identity_token; ///< OAuth2 refresh token, instead of username and password
    std::string registry_token; ///< bearer token to be used as it is

    [[nodiscard]] bool anonymous() const noexcept
    {
        return username.empty() && password.empty() && identity_token.empty() && registry_token.empty();
    }

    friend bool operator==(const Credential&, const Credential&) = default;
};

/// Either the credential itself, or the program that has it.
struct CredentialLookup {
    Credential credential;
    std::string helper;     ///< "pass" means docker-credential-pass; empty: none to ask
    std::string helper_key; ///< what to ask it for
};

class CredentialFile {
public:
    /// `name` is the file's, for messages.
    [[nodiscard]] static Result<CredentialFile> parse(std::string_view text, std::string_view name);

    /// A helper for this host is asked before an entry is taken, an entry with a path before one
    /// for the whole host, an entry before the common helper.
    [[nodiscard]] CredentialLookup find(const Repository& repository) const;

    /// What should be done about the file: who may read or change it that should not. Empty: nothing.
    [[nodiscard]] const std::string& advice() const noexcept { return advice_; }

    void advise(std::string what) { advice_ = std::move(what); }

private:
    std::string advice_;
    std::map<std::string, Credential, std::less<>> entries_;  // "host" or "host/path"
    std::map<std::string, std::string, std::less<>> helpers_; // by host
    std::string common_helper_;
};

/// Empty when there is no such file; kInvalid when it is no regular file. Blocks: for workers.
[[nodiscard]] Result<CredentialFile> load_credentials(const std::string& path);

/// What a helper prints: {"Username", "Secret"}; the name "<token>" marks an identity token.
[[nodiscard]] Result<Credential> parse_helper_output(std::string_view text, std::string_view helper);

} // namespace sluice::fetcher
