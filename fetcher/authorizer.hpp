// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/single_flight.hpp"
#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "fetcher/auth_challenge.hpp"
#include "fetcher/credentials.hpp"
#include "fetcher/http_client.hpp"
#include "fetcher/registry_options.hpp"
#include "fetcher/token_cache.hpp"

#include <map>
#include <random>
#include <string>
#include <vector>

namespace sluice::fetcher {

/// What we want to do where.
struct AuthScope {
    Repository repository;
    bool push = false;

    /// "repository:team/app:pull,push"
    [[nodiscard]] std::string to_string() const;
};

/// Who asks for authentication.
struct AuthAsker {
    std::string scheme; ///< that the registry is spoken to in
    Network network;    ///< where it is: its token server must be in reach of it
};

/// Values for the Authorization header: tokens are cached, renewed before they end, and fetched
/// once however many ask. Credentials are read anew whenever a registry says 401. Loop's thread;
/// must outlive its tasks.
class Authorizer {
public:
    Authorizer(
        EventLoop& loop, HttpClient& http, WorkerPool& workers, const RegistryOptions& options, FetchCounters& counters
    );

    /// What to send by what we know; an empty string: nothing, and let the registry ask. Never
    /// fails for want of a token.
    [[nodiscard]] Task<std::string> header(AuthScope scope);

    /// After a 401: `fields` are its WWW-Authenticate values, `rejected` is what was sent. kDenied
    /// when there is nothing (else) to offer.
    [[nodiscard]] Task<Result<std::string>>
    answer(AuthScope scope, AuthAsker asker, std::vector<std::string> fields, std::string rejected);

    /// After a 403: some registries say that where a token is too old. The next header() gets another than `rejected`.
    void doubt(const AuthScope& scope, const std::string& rejected);

private:
    /// What the registry asked for last, and who we were to it: enough to renew a token without
    /// another 401.
    struct Known {
        AuthChallenge challenge;
        Network asker;
        std::string identity;
    };

    [[nodiscard]] Task<Result<std::string>> renew(AuthScope scope, AuthChallenge challenge, Network asker);
    [[nodiscard]] Task<Result<std::string>> renew_now(AuthScope scope, AuthChallenge challenge, Network asker);
    [[nodiscard]] Task<Result<Credential>> credential_for(Repository repository, Deadline deadline);
    [[nodiscard]] Task<Result<HttpResponse>> ask_token_server(
        AuthChallenge challenge, Network asker, std::string scope, Credential credential, Deadline deadline
    );
    [[nodiscard]] TokenKey key_for(const AuthScope& scope) const;

    EventLoop& loop_;
    HttpClient& http_;
    WorkerPool& workers_;
    const RegistryOptions& options_;
    FetchCounters& counters_;
    TokenCache tokens_;
    std::map<std::string, Known> known_; // by registry and scope
    std::string advised_;                ///< what was last said of the file of credentials
    std::mt19937 random_{std::random_device{}()};
    SingleFlight<std::string, Result<std::string>> flights_; // last: its jobs use all of the above
};

} // namespace sluice::fetcher
