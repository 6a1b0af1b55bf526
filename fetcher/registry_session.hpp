// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/worker_pool.hpp"
#include "fetcher/authorizer.hpp"
#include "fetcher/http_client.hpp"
#include "fetcher/registry_options.hpp"

#include <cstdint>
#include <optional>
#include <random>
#include <string>

namespace sluice::fetcher {

/// A request to a registry, or to where it sent us. `request.url` is absolute.
struct RegistryCall {
    AuthScope scope;
    HttpRequest request; ///< its `sent_by` counts where the URL is not the registry's own
    bool retry = true;   ///< failures of the passing kind; uploads start anew elsewhere or not at all
};

/// What all requests to registries share: addresses, authentication, redirects, retries, counters.
/// Loop's thread.
class RegistrySession {
public:
    /// Throws std::runtime_error when libcurl cannot be set up.
    RegistrySession(EventLoop& loop, RegistryOptions options);

    /// "https://host:port/v2/name/" — http for registries listed as insecure.
    [[nodiscard]] std::string base_url(const Repository& repository) const;

    /// The final answer to a small request, whatever its status; errors when there is none within
    /// the request's deadline. GET and HEAD follow redirects. Credentials go to the registry's own origin only, and
    /// only its challenges are answered: a 401 or 403 from elsewhere is a kDenied error that names the place. A
    /// retriable status is an answer too, when the tries are used up.
    [[nodiscard]] Task<Result<HttpResponse>> call(RegistryCall call);

    /// How long to wait before the next try, when `error` has ended the `attempt`th in a row; an error when there is no
    /// point: its kind, the tries or the deadline forbid it. The deadline makes it kTimeout.
    [[nodiscard]] Result<milliseconds>
    next_try(const Error& error, unsigned attempt, std::optional<milliseconds> retry_after, Deadline deadline);

    [[nodiscard]] EventLoop& loop() noexcept { return loop_; }

    [[nodiscard]] const RegistryOptions& options() const noexcept { return options_; }

    [[nodiscard]] FetchCounters& counters() noexcept { return counters_; }

    [[nodiscard]] HttpClient& http() noexcept { return http_; }

    [[nodiscard]] Authorizer& authorizer() noexcept { return authorizer_; }

    /// For what blocks or computes for long: files of credentials, digests of manifests.
    [[nodiscard]] WorkerPool& workers() noexcept { return workers_; }

private:
    /// The end of a chain of redirects.
    struct Answered {
        HttpResponse response;
        std::string url;      ///< that answered
        bool at_home = false; ///< it is the registry's own origin: its challenges count, and no other's
    };

    [[nodiscard]] Task<Result<HttpResponse>> try_until(RegistryCall call);
    [[nodiscard]] Task<Result<HttpResponse>> authorized(RegistryCall call);
    [[nodiscard]] Task<Result<Answered>>
    follow(HttpRequest request, std::string registry_url, std::string authorization);

    EventLoop& loop_;
    RegistryOptions options_;
    FetchCounters counters_;
    std::mt19937 random_{std::random_device{}()};
    HttpClient http_;
    WorkerPool workers_{1, "registry"};
    Authorizer authorizer_; // last: its tasks use all of the above
};

} // namespace sluice::fetcher
