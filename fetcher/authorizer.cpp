// SPDX-License-Identifier: Apache-2.0
#include "fetcher/authorizer.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "fetcher/credential_helper.hpp"
#include "fetcher/deadline_task.hpp"
#include "fetcher/http_status.hpp"
#include "fetcher/token_request.hpp"
#include "fetcher/url.hpp"

#include <fmt/format.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr milliseconds kBasicLifetime{3'600'000}; ///< a password does not end by itself; a 401 ends it
constexpr std::size_t kMaxTokenAnswer = 1024 * 1024;

std::string flight_key(const AuthScope& scope)
{
    return scope.repository.registry + '\n' + scope.to_string();
}

const AuthChallenge* find_scheme(const std::vector<AuthChallenge>& challenges, std::string_view scheme)
{
    for (const auto& challenge : challenges) {
        if (challenge.scheme == scheme && (scheme != "bearer" || !challenge.parameter("realm").empty())) {
            return &challenge;
        }
    }
    return nullptr;
}

std::string identity_of(const Credential& credential)
{
    return credential.username.empty() && !credential.anonymous() ? "<token>" : credential.username;
}

} // namespace

std::string AuthScope::to_string() const
{
    return fmt::format("repository:{}:{}", repository.name, push ? "pull,push" : "pull");
}

Authorizer::Authorizer(
    EventLoop& loop, HttpClient& http, WorkerPool& workers, const RegistryOptions& options, FetchCounters& counters
)
    : loop_{loop}, http_{http}, workers_{workers}, options_{options}, counters_{counters}, flights_{loop}
{}

TokenKey Authorizer::key_for(const AuthScope& scope) const
{
    const auto it = known_.find(flight_key(scope));
    return {scope.repository.registry, it == known_.end() ? std::string{} : it->second.identity, scope.to_string()};
}

Task<std::string> Authorizer::header(AuthScope scope)
{
    const auto it = known_.find(flight_key(scope));
    if (it == known_.end()) {
        co_return std::string{};
    }
    auto cached = tokens_.find(key_for(scope), options_.now());
    if (!cached.empty()) {
        co_return cached;
    }
    auto challenge = it->second.challenge;
    const auto asker = it->second.asker;
    auto renewed = co_await renew(std::move(scope), std::move(challenge), asker);
    // Without one, the registry's 401 brings a fresh challenge: some move their token server now
    // and then.
    co_return renewed ? std::move(*renewed) : std::string{};
}

Task<Result<std::string>>
Authorizer::answer(AuthScope scope, AuthAsker asker, std::vector<std::string> fields, std::string rejected)
{
    const auto challenges = parse_challenges(fields);
    const auto* chosen = find_scheme(challenges, "bearer");
    if (chosen == nullptr) {
        chosen = find_scheme(challenges, "basic");
    }
    if (chosen == nullptr) {
        co_return fail(
            ErrorKind::kDenied,
            fmt::format("{}: asks for no kind of authentication that we know", scope.repository.registry)
        );
    }
    auto challenge = *chosen;
    if (challenge.scheme == "bearer") {
        const auto allowed = check_realm(challenge.parameter("realm"), asker.scheme);
        if (!allowed) {
            co_return fail(allowed.error(), scope.repository.registry);
        }
    }
    const auto key = key_for(scope);
    tokens_.drop(key, rejected);
    auto current = tokens_.find(key, options_.now());
    if (!current.empty()) {
        co_return current; // somebody has renewed it since our request went out
    }
    auto renewed = co_await renew(std::move(scope), std::move(challenge), asker.network);
    co_return renewed;
}

void Authorizer::doubt(const AuthScope& scope, const std::string& rejected)
{
    tokens_.drop(key_for(scope), rejected);
}

Task<Result<std::string>> Authorizer::renew(AuthScope scope, AuthChallenge challenge, Network asker)
{
    auto key = flight_key(scope);
    return flights_.run(std::move(key), [this, scope = std::move(scope), challenge = std::move(challenge), asker] {
        return renew_now(scope, challenge, asker);
    });
}

Task<Result<std::string>> Authorizer::renew_now(AuthScope scope, AuthChallenge challenge, Network asker)
{
    const auto& registry = scope.repository.registry;
    const auto deadline = Deadline::after(options_.token_timeout);
    auto found = co_await credential_for(scope.repository, deadline);
    if (!found) {
        co_return fail(found.error(), registry);
    }
    const auto credential = std::move(*found);
    std::string header;
    auto lifetime = kBasicLifetime;
    if (challenge.scheme == "basic") {
        if (credential.username.empty()) {
            const auto place =
                options_.credentials_file.empty() ? "no credentials file is set" : options_.credentials_file;
            co_return fail(
                ErrorKind::kDenied, fmt::format("{}: wants a name and password, none found ({})", registry, place)
            );
        }
        header = basic_header(credential);
    } else if (!credential.registry_token.empty()) {
        header = "Bearer " + credential.registry_token;
    } else {
        auto wanted = challenge.parameter("scope");
        if (wanted.empty()) {
            wanted = scope.to_string();
        }
        const auto response = co_await ask_token_server(challenge, asker, wanted, credential, deadline);
        if (!response) {
            co_return fail(response.error(), registry);
        }
        const auto token = parse_token(response->body);
        if (!token) {
            co_return fail(token.error(), registry);
        }
        ++counters_.tokens;
        header = "Bearer " + token->value;
        lifetime = token->lifetime;
    }
    const auto identity = identity_of(credential);
    known_.insert_or_assign(flight_key(scope), Known{challenge, asker, identity});
    const auto now = options_.now();
    const auto until = now + usable_lifetime(lifetime, static_cast<std::uint32_t>(random_()));
    tokens_.put({registry, identity, scope.to_string()}, header, until, now);
    co_return header;
}

Task<Result<Credential>> Authorizer::credential_for(Repository repository, Deadline deadline)
{
    if (options_.credentials_file.empty()) {
        co_return Credential{};
    }
    auto job = [path = options_.credentials_file] { return load_credentials(path); };
    auto inner = workers_.run(loop_, std::move(job));
    const auto file = co_await with_deadline(loop_, std::move(inner), deadline, options_.credentials_file);
    if (!file) {
        co_return fail(ErrorKind::kDenied, file.error().text());
    }
    if (!file->advice().empty() && file->advice() != advised_) {
        advised_ = file->advice();
        log::warning("{}", advised_);
    }
    auto lookup = file->find(repository);
    if (lookup.helper.empty()) {
        co_return std::move(lookup.credential);
    }
    auto asked =
        co_await ask_credential_helper(loop_, std::move(lookup.helper), std::move(lookup.helper_key), deadline);
    if (!asked) {
        co_return fail(asked.error(), options_.credentials_file);
    }
    co_return asked;
}

Task<Result<HttpResponse>> Authorizer::ask_token_server(
    AuthChallenge challenge, Network asker, std::string scope, Credential credential, Deadline deadline
)
{
    const auto what = fmt::format("token from {}", public_url(challenge.parameter("realm")));
    if (!credential.anonymous()) {
        auto post = token_post(challenge, scope, credential);
        post.deadline = deadline;
        post.sent_by = asker;
        post.limit = kMaxTokenAnswer;
        auto response = co_await http_.send(std::move(post));
        if (!response || response->status == http_status::kOk) {
            co_return response;
        }
        const auto status = response->status;
        // Servers of the older kind know no POST.
        if (credential.username.empty() || (status != 400 && status != 401 && status != 404 && status != 405)) {
            co_return fail(status_error(status, response->body, what));
        }
    }
    auto get = token_get(challenge, scope, credential);
    get.deadline = deadline;
    get.sent_by = asker;
    get.limit = kMaxTokenAnswer;
    auto response = co_await http_.send(std::move(get));
    if (response && response->status != http_status::kOk) {
        co_return fail(status_error(response->status, response->body, what));
    }
    co_return response;
}

} // namespace sluice::fetcher
