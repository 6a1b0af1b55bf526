// SPDX-License-Identifier: Apache-2.0
#include "fetcher/reference.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cstddef>
#include <fmt/format.h>
#include <utility>

namespace sluice::fetcher {

namespace {

constexpr std::string_view kLayoutPrefix = "oci:";
constexpr std::string_view kDefaultRegistry = "docker.io";
constexpr std::string_view kDefaultTag = "latest";
constexpr std::size_t kMaxNameLength = 255;
constexpr std::size_t kMaxTagLength = 128;
constexpr std::size_t kMaxHostLength = 255;

constexpr bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

constexpr bool is_lower_or_digit(char c) noexcept
{
    return is_digit(c) || (c >= 'a' && c <= 'z');
}

constexpr bool is_letter_or_digit(char c) noexcept
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

Failure refuse(std::string_view text, std::string_view why)
{
    return fail(ErrorKind::kInvalid, fmt::format("image reference \"{}\": {}", printable(text), why));
}

/// Words of lower-case letters and digits, between them one '.', one or two '_', or any number of
/// '-'.
bool is_valid_component(std::string_view part) noexcept
{
    if (part.empty() || !is_lower_or_digit(part.front()) || !is_lower_or_digit(part.back())) {
        return false;
    }
    for (std::size_t i = 0; i < part.size();) {
        if (is_lower_or_digit(part[i])) {
            ++i;
            continue;
        }
        const char mark = part[i];
        const auto end = std::min(part.find_first_not_of(mark, i), part.size());
        const auto longest = mark == '.' ? 1U : mark == '_' ? 2U : mark == '-' ? part.size() : 0U;
        if (end - i > longest || !is_lower_or_digit(part[end])) {
            return false;
        }
        i = end;
    }
    return true;
}

bool is_valid_name(std::string_view name)
{
    const auto parts = split(name, '/');
    return name.size() <= kMaxNameLength && std::ranges::all_of(parts, is_valid_component);
}

bool is_valid_port(std::string_view port) noexcept
{
    const auto value = parse_u64(port);
    return value && *value >= 1 && *value <= 65'535 && port.size() <= 5;
}

bool is_valid_host(std::string_view host)
{
    if (host.starts_with('[')) {
        const auto inner = host.substr(1, host.size() - 2);
        constexpr std::string_view kAllowed = "0123456789abcdefABCDEF:.";
        return host.size() > 4 && host.ends_with(']') && inner.find(':') != std::string_view::npos &&
               inner.find_first_not_of(kAllowed) == std::string_view::npos;
    }
    const auto is_label = [](std::string_view label) {
        return !label.empty() && is_letter_or_digit(label.front()) && is_letter_or_digit(label.back()) &&
               std::ranges::all_of(label, [](char c) { return is_letter_or_digit(c) || c == '-'; });
    };
    const auto labels = split(host, '.');
    return host.size() <= kMaxHostLength && std::ranges::all_of(labels, is_label);
}

bool is_valid_registry(std::string_view registry)
{
    const auto bracket = registry.rfind(']');
    const auto colon = registry.rfind(':');
    if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
        return is_valid_host(registry);
    }
    return is_valid_host(registry.substr(0, colon)) && is_valid_port(registry.substr(colon + 1));
}

/// Whether the text before the first slash is a registry, and not the first word of a name:
/// docker's rule.
bool looks_like_registry(std::string_view first) noexcept
{
    return first == "localhost" || first.find_first_of(".:[") != std::string_view::npos;
}

bool is_valid_layout_path(std::string_view path) noexcept
{
    return path.starts_with('/') && path.find('\0') == std::string_view::npos;
}

std::string lower(std::string_view text)
{
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return out;
}

Result<Repository> split_registry_name(std::string_view whole, std::string_view name)
{
    if (name.find("://") != std::string_view::npos) {
        return refuse(whole, "must not start with a scheme; registries without TLS are listed as registry-insecure");
    }
    Repository repository{.registry = std::string{kDefaultRegistry}, .name = std::string{name}};
    const auto slash = name.find('/');
    if (slash != std::string_view::npos && looks_like_registry(name.substr(0, slash))) {
        repository.registry = lower(name.substr(0, slash));
        repository.name = name.substr(slash + 1);
    }
    if (repository.registry == "index.docker.io" || repository.registry == "registry-1.docker.io") {
        repository.registry = kDefaultRegistry;
    }
    if (repository.registry == kDefaultRegistry && repository.name.find('/') == std::string::npos) {
        repository.name.insert(0, "library/");
    }
    if (!is_valid_registry(repository.registry)) {
        return refuse(whole, fmt::format("\"{}\" is not a registry's host and port", printable(repository.registry)));
    }
    if (!is_valid_name(repository.name)) {
        return refuse(whole, fmt::format("\"{}\" is not a repository name", printable(repository.name)));
    }
    return repository;
}

} // namespace

bool is_valid_tag(std::string_view tag) noexcept
{
    const auto is_inner = [](char c) { return is_letter_or_digit(c) || c == '_' || c == '.' || c == '-'; };
    return !tag.empty() && tag.size() <= kMaxTagLength && tag.front() != '.' && tag.front() != '-' &&
           std::ranges::all_of(tag, is_inner);
}

Result<Repository> Repository::parse(std::string_view text)
{
    if (text.starts_with(kLayoutPrefix)) {
        const auto path = text.substr(kLayoutPrefix.size());
        if (!is_valid_layout_path(path)) {
            return refuse(text, "an image layout's path must be absolute");
        }
        return Repository{.registry = {}, .name = std::string{path}};
    }
    const auto slash = text.find('/');
    if (slash == std::string_view::npos || !is_valid_registry(text.substr(0, slash)) ||
        !is_valid_name(text.substr(slash + 1))) {
        return refuse(text, "not a repository (registry/name)");
    }
    return Repository{.registry = std::string{text.substr(0, slash)}, .name = std::string{text.substr(slash + 1)}};
}

std::string Repository::to_string() const
{
    return is_layout() ? fmt::format("oci:{}", name) : fmt::format("{}/{}", registry, name);
}

Result<Reference> Reference::parse(std::string_view text)
{
    auto rest = text;
    Reference reference;
    const bool layout = rest.starts_with(kLayoutPrefix);
    if (const auto at = rest.rfind('@');
        at != std::string_view::npos && (!layout || rest.substr(at).starts_with("@sha"))) {
        auto digest = Digest::parse(rest.substr(at + 1));
        if (!digest) {
            return refuse(text, digest.error().text());
        }
        reference.digest = *digest;
        rest = rest.substr(0, at);
    }
    if (layout) {
        rest.remove_prefix(kLayoutPrefix.size());
    }
    const auto slash = rest.rfind('/');
    const auto colon = rest.rfind(':');
    if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
        reference.tag = rest.substr(colon + 1);
        rest = rest.substr(0, colon);
        if (!is_valid_tag(reference.tag)) {
            return refuse(text, fmt::format("\"{}\" is not a tag", printable(reference.tag)));
        }
    } else if (!reference.digest) {
        reference.tag = kDefaultTag;
    }
    if (layout) {
        if (!is_valid_layout_path(rest)) {
            return refuse(text, "an image layout's path must be absolute");
        }
        reference.repository.name = rest;
        return reference;
    }
    auto repository = split_registry_name(text, rest);
    if (!repository) {
        return fail(std::move(repository.error()));
    }
    reference.repository = std::move(*repository);
    return reference;
}

std::string Reference::tag_or_digest() const
{
    return digest ? digest->to_string() : tag;
}

std::string Reference::to_string() const
{
    auto text = repository.to_string();
    if (!tag.empty()) {
        text += ':' + tag;
    }
    if (digest) {
        text += '@' + digest->to_string();
    }
    return text;
}

} // namespace sluice::fetcher
