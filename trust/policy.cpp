// SPDX-License-Identifier: Apache-2.0
#include "trust/policy.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sluice::trust {

namespace {

Result<VerifiedBy> verify(const SimpleSigning& form, const Digest& manifest, const KeyRing& keys)
{
    return verify_simple_signing(form, manifest, keys);
}

/// Does the signed name mean the repository? Of an image layout the last component is all that is signed.
bool is_named(const std::string& repository, const std::string& docker_reference)
{
    const auto name = signed_repository(docker_reference);
    if (repository.starts_with("oci:")) {
        return !name.empty() && name == repository.substr(repository.rfind('/') + 1);
    }
    return !repository.empty() && name == repository;
}

/// Whether a signature that a trusted key has made counts for this repository.
Result<void> check_scope(const VerifiedBy& by, const std::string& repository, const KeyRing& keys)
{
    const auto* signer = keys.find(by.key_id);
    if (signer == nullptr || !signer->may_sign_for(repository)) {
        const auto allowed = signer == nullptr ? std::vector<std::string>{} : signer->repositories;
        return fail(
            ErrorKind::kDenied,
            fmt::format(
                "key {} may not sign for {}, only for {}",
                printable(by.key_name),
                printable(repository),
                fmt::join(allowed, " and ")
            )
        );
    }
    if (keys.requires_signed_name() && !is_named(repository, by.docker_reference)) {
        return fail(
            ErrorKind::kDenied,
            fmt::format(
                "it was made for {}, not for {}",
                by.docker_reference.empty() ? "no name" : printable(by.docker_reference),
                printable(repository)
            )
        );
    }
    return {};
}

std::string join(const std::vector<std::string>& parts, std::string_view between)
{
    std::string text;
    for (const auto& part : parts) {
        text += text.empty() ? "" : between;
        text += part;
    }
    return text;
}

/// Why candidates failed, each reason once, however many had it.
class Reasons {
public:
    void add(const std::string& source, const std::string& why)
    {
        const auto same =
            std::find_if(reasons_.begin(), reasons_.end(), [&](const Reason& known) { return known.why == why; });
        if (same == reasons_.end()) {
            reasons_.push_back({source, why, 1});
        } else {
            ++same->count;
        }
    }

    [[nodiscard]] std::vector<std::string> texts() const
    {
        std::vector<std::string> texts;
        for (const auto& [source, why, count] : reasons_) {
            texts.push_back(
                count == 1 ? fmt::format("{}: {}", source, why)
                           : fmt::format("{} and {} more: {}", source, count - 1, why)
            );
        }
        return texts;
    }

private:
    struct Reason {
        std::string source; ///< the first that had it
        std::string why;
        std::size_t count;
    };

    std::vector<Reason> reasons_;
};

} // namespace

Result<VerifiedBy> require_signature(const SignatureSearch& search, const Digest& manifest, const KeyRing& keys)
{
    Reasons failed;
    const auto count = std::min(search.candidates.size(), kMaxSignatures);
    for (std::size_t i = 0; i < count; ++i) {
        const auto& candidate = search.candidates[i];
        if (!candidate.signature) {
            failed.add(candidate.source, candidate.signature.error().text());
            continue;
        }
        auto verified =
            std::visit([&](const auto& form) { return verify(form, manifest, keys); }, *candidate.signature);
        if (verified) {
            if (auto in_scope = check_scope(*verified, search.repository, keys); !in_scope) {
                verified = fail(in_scope.error());
            }
        }
        if (verified) {
            return verified;
        }
        failed.add(candidate.source, verified.error().text());
    }
    auto reasons = failed.texts();
    if (search.candidates.size() > count) {
        reasons.push_back(fmt::format("{} more were not looked at", search.candidates.size() - count));
    }
    const auto looked = search.places.empty() ? "nowhere" : join(search.places, "; ");
    const auto found = reasons.empty() ? std::string{"found no signature"}
                                       : fmt::format(
                                             "found {} signature{}, none valid ({})",
                                             search.candidates.size(),
                                             search.candidates.size() == 1 ? "" : "s",
                                             join(reasons, "; ")
                                         );
    return fail(
        ErrorKind::kDenied,
        fmt::format(
            "no valid signature of manifest {}: looked at {}; {}; trusted keys: {}",
            manifest.to_string(),
            looked,
            found,
            keys.describe()
        )
    );
}

std::string signed_repository(std::string_view docker_reference)
{
    constexpr std::string_view kIndex = "index."; // cosign's name for docker.io
    auto name = docker_reference.substr(0, docker_reference.find('@'));
    const auto slash = name.rfind('/');
    const auto colon = name.rfind(':');
    if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
        name = name.substr(0, colon);
    }
    return std::string{name.starts_with("index.docker.io/") ? name.substr(kIndex.size()) : name};
}

} // namespace sluice::trust
