// SPDX-License-Identifier: Apache-2.0
//
// What the fake registry knows, and how it answers when nothing is scripted.
#include "base/text.hpp"
#include "tests/support/fake_registry.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace sluice::test {

namespace {

FakeContent in_memory(std::string bytes)
{
    FakeContent content;
    content.size = bytes.size();
    content.bytes = std::make_shared<const std::string>(std::move(bytes));
    return content;
}

} // namespace

Digest FakeRegistry::add_blob(std::string bytes)
{
    const auto digest = sha256_(as_byte_span(bytes));
    add_blob(digest, std::move(bytes));
    return digest;
}

void FakeRegistry::add_blob(const Digest& digest, std::string bytes)
{
    const MutexLock lock{mutex_};
    blobs_.insert_or_assign(digest, in_memory(std::move(bytes)));
}

void FakeRegistry::add_blob_file(const Digest& digest, UniqueFd file, std::uint64_t size)
{
    FakeContent content;
    content.file = std::make_shared<UniqueFd>(std::move(file));
    content.size = size;
    const MutexLock lock{mutex_};
    blobs_.insert_or_assign(digest, std::move(content));
}

Digest FakeRegistry::add_manifest(
    const std::string& repository, const std::string& tag, const std::string& type, std::string bytes
)
{
    const auto digest = sha256_(as_byte_span(bytes));
    const MutexLock lock{mutex_};
    const auto prefix = repository + "/manifests/";
    if (!tag.empty()) {
        manifests_.insert_or_assign(prefix + tag, Manifest{type, bytes});
    }
    manifests_.insert_or_assign(prefix + digest.to_string(), Manifest{type, std::move(bytes)});
    return digest;
}

std::optional<std::string> FakeRegistry::blob(const Digest& digest) const
{
    const MutexLock lock{mutex_};
    const auto it = blobs_.find(digest);
    return it == blobs_.end() || !it->second.bytes ? std::nullopt : std::optional{*it->second.bytes};
}

std::optional<std::string> FakeRegistry::manifest(const std::string& repository, const std::string& name) const
{
    const MutexLock lock{mutex_};
    const auto it = manifests_.find(repository + "/manifests/" + name);
    return it == manifests_.end() ? std::nullopt : std::optional{it->second.bytes};
}

void FakeRegistry::script(const std::string& path_part, Fault fault, unsigned times)
{
    const MutexLock lock{mutex_};
    scripts_.push_back({path_part, std::move(fault), times});
}

void FakeRegistry::clear_scripts()
{
    const MutexLock lock{mutex_};
    scripts_.clear();
}

void FakeRegistry::release()
{
    {
        const MutexLock lock{mutex_};
        ++releases_;
        std::erase_if(scripts_, [](const Script& script) { return script.fault.hold; });
    }
    changed_.notify_all();
}

void FakeRegistry::require_basic(const std::string& user, const std::string& password)
{
    const auto plain = user + ':' + password;
    const MutexLock lock{mutex_};
    basic_ = "Basic " + encode_base64(as_byte_span(plain));
}

void FakeRegistry::require_bearer(const std::string& user, const std::string& password)
{
    const MutexLock lock{mutex_};
    bearer_ = true;
    token_user_ = user;
    token_password_ = password;
}

void FakeRegistry::set_token_lifetime(unsigned seconds)
{
    const MutexLock lock{mutex_};
    token_lifetime_ = seconds;
}

void FakeRegistry::revoke_tokens()
{
    const MutexLock lock{mutex_};
    tokens_.clear();
}

void FakeRegistry::redirect_blobs(const FakeRegistry& storage, const std::string& query)
{
    const MutexLock lock{mutex_};
    redirect_to_ = "http://" + storage.host();
    redirect_query_ = query;
}

std::vector<FakeHttpRequest> FakeRegistry::requests() const
{
    const MutexLock lock{mutex_};
    return log_;
}

std::size_t FakeRegistry::count_requests(const std::string& path_part) const
{
    const MutexLock lock{mutex_};
    const auto has_it = [&](const FakeHttpRequest& request) {
        return request.path.find(path_part) != std::string::npos;
    };
    return static_cast<std::size_t>(std::ranges::count_if(log_, has_it));
}

std::size_t FakeRegistry::faults_struck() const
{
    const MutexLock lock{mutex_};
    return struck_;
}

std::size_t FakeRegistry::connections() const
{
    const MutexLock lock{mutex_};
    return accepted_;
}

std::size_t FakeRegistry::held() const
{
    const MutexLock lock{mutex_};
    return held_;
}

FakeRegistry::Answer FakeRegistry::route(const FakeHttpRequest& request, bool ignore_range)
{
    const MutexLock lock{mutex_};
    const auto& path = request.path;
    if (path == "/token") {
        return route_token(request);
    }
    if (path.starts_with("/storage/")) {
        return route_blob(request, path.substr(9), ignore_range);
    }
    if (auto refusal = demand_login(request)) {
        return *refusal;
    }
    if (path.find("/blobs/uploads/") != std::string::npos) {
        return route_upload(request);
    }
    const auto blobs = path.find("/blobs/");
    if (blobs != std::string::npos) {
        const auto name = path.substr(blobs + 7);
        if (!redirect_to_.empty() && request.method == "GET") {
            Answer away{.status = 307, .headers = {}, .content = {}, .part = {}};
            away.headers.push_back(fmt::format("Location: {}/storage/{}{}", redirect_to_, name, redirect_query_));
            return away;
        }
        return route_blob(request, name, ignore_range);
    }
    if (path.starts_with("/v2/") && path.find("/manifests/") != std::string::npos) {
        return route_manifest(request, path.substr(4));
    }
    return {.status = 404, .headers = {}, .content = {}, .part = {}};
}

FakeRegistry::Answer
FakeRegistry::route_blob(const FakeHttpRequest& request, const std::string& name, bool ignore_range)
{
    const auto digest = Digest::parse(name);
    const auto it = digest ? blobs_.find(*digest) : blobs_.end();
    if (it == blobs_.end()) {
        Answer missing{
            .status = 404, .headers = {}, .content = in_memory(R"({"errors":[{"code":"BLOB_UNKNOWN"}]})"), .part = {}};
        missing.part = ByteRange{0, missing.content.size};
        return missing;
    }
    Answer answer{.status = 200, .headers = {}, .content = it->second, .part = ByteRange{0, it->second.size}};
    const auto range = ignore_range ? std::nullopt : request.range();
    if (!range) {
        return answer;
    }
    if (range->begin() >= it->second.size) {
        return {.status = 416, .headers = {}, .content = {}, .part = {}};
    }
    answer.status = 206;
    answer.part = range->intersect(answer.part);
    answer.headers.push_back(fmt::format("Content-Range: bytes {}/{}", answer.part.to_string(), it->second.size));
    return answer;
}

FakeRegistry::Answer FakeRegistry::route_manifest(const FakeHttpRequest& request, const std::string& key)
{
    if (request.method == "PUT") {
        const auto slash = key.rfind("/manifests/");
        manifests_.insert_or_assign(key, Manifest{request.header("content-type"), request.body});
        const auto digest = sha256_(as_byte_span(request.body)).to_string();
        manifests_.insert_or_assign(
            key.substr(0, slash) + "/manifests/" + digest, Manifest{request.header("content-type"), request.body}
        );
        return {.status = 201, .headers = {}, .content = {}, .part = {}};
    }
    const auto it = manifests_.find(key);
    if (it == manifests_.end()) {
        Answer missing{
            .status = 404,
            .headers = {},
            .content = in_memory(R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})"),
            .part = {}};
        missing.part = ByteRange{0, missing.content.size};
        return missing;
    }
    Answer answer{
        .status = 200,
        .headers = {"Content-Type: " + it->second.type},
        .content = in_memory(it->second.bytes),
        .part = {}};
    answer.part = ByteRange{0, answer.content.size};
    return answer;
}

FakeRegistry::Answer FakeRegistry::route_upload(const FakeHttpRequest& request)
{
    Answer answer{.status = 202, .headers = {}, .content = {}, .part = {}};
    if (request.method == "POST") {
        answer.headers.push_back("Location: " + request.path + "one?_state=started");
        return answer;
    }
    const auto digest = Digest::parse(request.query_field("digest"));
    if (request.method != "PUT" || !digest || *digest != sha256_(as_byte_span(request.body)) ||
        request.query_field("_state") != "started") {
        answer.status = 400;
        return answer;
    }
    blobs_.insert_or_assign(*digest, in_memory(request.body));
    answer.status = 201;
    return answer;
}

FakeRegistry::Answer FakeRegistry::route_token(const FakeHttpRequest& request)
{
    const auto plain = token_user_ + ':' + token_password_;
    const auto wanted = token_user_.empty() ? std::string{} : "Basic " + encode_base64(as_byte_span(plain));
    if (request.method == "POST") { // an old token server, which knows the other form only
        return {.status = 405, .headers = {}, .content = {}, .part = {}};
    }
    if (request.header("authorization") != wanted) {
        return {.status = 401, .headers = {}, .content = {}, .part = {}};
    }
    const auto token = fmt::format("token-{}", ++tokens_made_);
    tokens_.insert(token);
    Answer answer{
        .status = 200,
        .headers = {},
        .content = in_memory(fmt::format(R"({{"token":"{}","expires_in":{}}})", token, token_lifetime_)),
        .part = {},
    };
    answer.part = ByteRange{0, answer.content.size};
    return answer;
}

std::optional<FakeRegistry::Answer> FakeRegistry::demand_login(const FakeHttpRequest& request) const
{
    const auto given = request.header("authorization");
    Answer refusal{.status = 401, .headers = {}, .content = {}, .part = {}};
    if (!basic_.empty() && given != basic_) {
        refusal.headers.emplace_back("WWW-Authenticate: Basic realm=\"fake, with a comma\"");
        return refusal;
    }
    if (bearer_ && (!given.starts_with("Bearer ") || !tokens_.contains(given.substr(7)))) {
        refusal.headers.push_back(fmt::format(
            "WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"fake\",scope=\"repository:any:pull\"", host()
        ));
        return refusal;
    }
    return std::nullopt;
}

} // namespace sluice::test
