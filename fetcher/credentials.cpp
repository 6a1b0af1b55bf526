// SPDX-License-Identifier: Apache-2.0
#include "fetcher/credentials.hpp"

#include "base/json.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr std::string_view kDockerHub = "docker.io";

/// "https://host/v1/" and the like → "host"; "host/path" stays.
std::string normal_key(std::string_view key)
{
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (key.starts_with(scheme)) {
            key.remove_prefix(scheme.size());
        }
    }
    while (key.ends_with('/')) {
        key.remove_suffix(1);
    }
    for (const std::string_view version : {"/v1", "/v2"}) {
        if (key.ends_with(version)) {
            key.remove_suffix(version.size());
        }
    }
    const auto host = key.substr(0, key.find('/'));
    if (host == "index.docker.io" || host == "registry-1.docker.io") {
        return std::string{kDockerHub} + std::string{key.substr(host.size())};
    }
    return std::string{key};
}

bool is_helper_name(std::string_view name) noexcept
{
    return !name.empty() && name.find_first_of("/\0") == std::string_view::npos;
}

std::string member(const Json& object, const char* name)
{
    const auto* text = json_string(object, name);
    return text == nullptr ? std::string{} : *text;
}

Result<Credential> parse_entry(const Json& entry, std::string_view what)
{
    Credential credential{
        .username = member(entry, "username"),
        .password = member(entry, "password"),
        .identity_token = member(entry, "identitytoken"),
        .registry_token = member(entry, "registrytoken"),
    };
    if (const auto auth = member(entry, "auth"); !auth.empty()) {
        const auto bytes = decode_base64(auth);
        const auto plain = bytes ? std::string{as_text(*bytes)} : std::string{};
        const auto colon = plain.find(':');
        if (colon == std::string::npos) {
            return fail(ErrorKind::kInvalid, fmt::format("{}: auth is not base64 of name:password", what));
        }
        credential.username = plain.substr(0, colon);
        credential.password = plain.substr(colon + 1);
        const auto zero = credential.password.find('\0'); // some writers pad with zero bytes
        credential.password.resize(std::min(zero, credential.password.size()));
    }
    return credential;
}

std::string advice_about(const struct stat& status, const std::string& path)
{
    if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
        return fmt::format(
            "{}: belongs to user {}, who can read and change these passwords: chown it", path, status.st_uid
        );
    }
    if ((status.st_mode & 077) != 0) {
        return fmt::format("{}: others can read or change these passwords: chmod 600 it", path);
    }
    return {};
}

} // namespace

Result<CredentialFile> CredentialFile::parse(std::string_view text, std::string_view name)
{
    auto document = parse_json(text, name, kMaxCredentialFile);
    if (!document) {
        return fail(std::move(document.error()));
    }
    if (!document->is_object()) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not a JSON object", name));
    }
    CredentialFile file;
    if (const auto* auths = json_member(*document, "auths"); auths != nullptr && auths->is_object()) {
        for (auto it = auths->begin(); it != auths->end(); ++it) {
            auto entry = parse_entry(*it, fmt::format("{}: auths \"{}\"", name, printable(it.key())));
            if (!entry) {
                return fail(std::move(entry.error()));
            }
            if (!entry->anonymous()) {
                file.entries_.insert_or_assign(normal_key(it.key()), std::move(*entry));
            }
        }
    }
    if (const auto* helpers = json_member(*document, "credHelpers"); helpers != nullptr && helpers->is_object()) {
        for (auto it = helpers->begin(); it != helpers->end(); ++it) {
            const auto* helper = it->get_ptr<const std::string*>();
            if (helper == nullptr || !is_helper_name(*helper)) {
                return fail(
                    ErrorKind::kInvalid, fmt::format("{}: credHelpers \"{}\" is not a name", name, printable(it.key()))
                );
            }
            file.helpers_.insert_or_assign(normal_key(it.key()), *helper);
        }
    }
    file.common_helper_ = member(*document, "credsStore");
    if (!file.common_helper_.empty() && !is_helper_name(file.common_helper_)) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: credsStore is not a name", name));
    }
    return file;
}

CredentialLookup CredentialFile::find(const Repository& repository) const
{
    const auto& host = repository.registry;
    const auto key = host == kDockerHub ? std::string{"https://index.docker.io/v1/"} : host;
    if (const auto it = helpers_.find(host); it != helpers_.end()) {
        return {{}, it->second, key};
    }
    for (auto place = host + '/' + repository.name;;) {
        if (const auto it = entries_.find(place); it != entries_.end()) {
            return {it->second, {}, {}};
        }
        const auto slash = place.rfind('/');
        if (slash == std::string::npos) {
            break;
        }
        place.resize(slash);
    }
    return {{}, common_helper_, common_helper_.empty() ? std::string{} : key};
}

Result<CredentialFile> load_credentials(const std::string& path)
{
    const UniqueFd fd{kAdoptFd, ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
    if (!fd) {
        return errno == ENOENT ? Result<CredentialFile>{CredentialFile{}} : fail_errno(errno, path);
    }

    struct stat status {};

    if (::fstat(fd.get(), &status) != 0) {
        return fail_errno(errno, path);
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: not a file", path));
    }
    Secret text{kMaxCredentialFile + 1};
    while (text.view().size() <= kMaxCredentialFile) {
        const auto got = text.read_from(fd.get());
        if (got < 0 && errno != EINTR) {
            return fail_errno(errno, path);
        }
        if (got == 0) {
            break;
        }
    }
    auto file = CredentialFile::parse(text.view(), path);
    if (file) {
        file->advise(advice_about(status, path));
    }
    return file;
}

Result<Credential> parse_helper_output(std::string_view text, std::string_view helper)
{
    const auto document = parse_json(text, helper, kMaxCredentialFile);
    if (!document) {
        return fail(document.error());
    }
    const auto username = member(*document, "Username");
    const auto secret = member(*document, "Secret");
    if (secret.empty()) {
        return fail(ErrorKind::kInvalid, fmt::format("{}: printed no Secret", helper));
    }
    Credential credential;
    if (username.empty() || username == "<token>") {
        credential.identity_token = secret;
    } else {
        credential.username = username;
        credential.password = secret;
    }
    return credential;
}

} // namespace sluice::fetcher
