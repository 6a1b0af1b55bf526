// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "fetcher/manifest.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <utility>

namespace sluice::fetcher {

namespace {

/// The variant that is meant where none is written.
std::string_view normal_variant(const Platform& platform) noexcept
{
    if (!platform.variant.empty()) {
        return platform.variant;
    }
    if (platform.architecture == "arm64") {
        return "v8";
    }
    if (platform.architecture == "arm") {
        return "v7";
    }
    return platform.architecture == "amd64" ? "v1" : "";
}

bool matches(const Platform& offered, const Platform& wanted) noexcept
{
    return offered.os == wanted.os && offered.architecture == wanted.architecture &&
           normal_variant(offered) == normal_variant(wanted);
}

bool is_attestation(const Descriptor& descriptor)
{
    return descriptor.annotation("vnd.docker.reference.type") != nullptr ||
           (descriptor.platform && descriptor.platform->os == "unknown");
}

bool has_erofs(const Descriptor& descriptor)
{
    return descriptor.platform &&
           std::ranges::find(descriptor.platform->os_features, "erofs") != descriptor.platform->os_features.end();
}

std::string describe(const Platform& platform)
{
    auto text = fmt::format("{}/{}", platform.os, platform.architecture);
    if (!platform.variant.empty()) {
        text += '/' + platform.variant;
    }
    return printable(text, 60);
}

} // namespace

Platform host_platform()
{
    constexpr std::pair<std::string_view, std::string_view> kNames[] = {
        {"x86_64", "amd64"},
        {"aarch64", "arm64"},
        {"i686", "386"},
        {"armv7l", "arm"},
        {"armv6l", "arm"},
        {"ppc64le", "ppc64le"},
        {"riscv64", "riscv64"},
        {"s390x", "s390x"},
        {"loongarch64", "loong64"},
    };
    utsname names{};
    ::uname(&names); // fails for a bad pointer only
    const std::string_view machine{names.machine};
    Platform platform{.os = "linux", .architecture = std::string{machine}, .variant = {}, .os_features = {}};
    for (const auto& [kernel, oci] : kNames) {
        if (kernel == machine) {
            platform.architecture = oci;
        }
    }
    if (machine == "armv6l") {
        platform.variant = "v6";
    }
    return platform;
}

Result<Platform> parse_platform(std::string_view text)
{
    const auto parts = split(text, '/');
    if (parts.size() < 2 || parts.size() > 3 || std::ranges::any_of(parts, &std::string_view::empty)) {
        return fail(
            ErrorKind::kInvalid, fmt::format("platform \"{}\": must be os/architecture[/variant]", printable(text))
        );
    }
    return Platform{
        .os = std::string{parts[0]},
        .architecture = std::string{parts[1]},
        .variant = std::string{parts.size() == 3 ? parts[2] : std::string_view{}},
        .os_features = {},
    };
}

Result<Descriptor> choose_platform(const Index& index, const Platform& wanted)
{
    const Descriptor* chosen = nullptr;
    const Descriptor* nested = nullptr;
    std::string offers;
    for (const auto& candidate : index.manifests) {
        if (is_attestation(candidate)) {
            continue;
        }
        if (is_index_type(candidate.media_type)) {
            if (nested == nullptr && (!candidate.platform || matches(*candidate.platform, wanted))) {
                nested = &candidate;
            }
            continue;
        }
        // One without a platform is for all: indexes of tools that never heard of platforms have
        // just one.
        const bool fits = !candidate.platform || matches(*candidate.platform, wanted);
        if (candidate.platform) {
            offers += (offers.empty() ? "" : ", ") + describe(*candidate.platform);
        }
        if (fits && (chosen == nullptr || (has_erofs(candidate) && !has_erofs(*chosen)))) {
            chosen = &candidate;
        }
    }
    if (chosen == nullptr) {
        chosen = nested;
    }
    if (chosen == nullptr) {
        return fail(
            ErrorKind::kNotFound,
            fmt::format(
                "index: no image for {} (there are: {})", describe(wanted), offers.empty() ? "none" : printable(offers)
            )
        );
    }
    return *chosen;
}

} // namespace sluice::fetcher
