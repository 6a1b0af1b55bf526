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

std::string join(const std::vector<std::string>& parts, std::string_view between)
{
    std::string text;
    for (const auto& part : parts) {
        text += text.empty() ? "" : between;
        text += part;
    }
    return text;
}

} // namespace

Result<VerifiedBy> require_signature(const SignatureSearch& search, const Digest& manifest, const KeyRing& keys)
{
    std::vector<std::string> reasons;
    const auto count = std::min(search.candidates.size(), kMaxSignatures);
    for (std::size_t i = 0; i < count; ++i) {
        const auto& candidate = search.candidates[i];
        if (!candidate.signature) {
            reasons.push_back(fmt::format("{}: {}", candidate.source, candidate.signature.error().text()));
            continue;
        }
        auto verified =
            std::visit([&](const auto& form) { return verify(form, manifest, keys); }, *candidate.signature);
        if (verified) {
            return verified;
        }
        reasons.push_back(fmt::format("{}: {}", candidate.source, verified.error().text()));
    }
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
            "{}: no valid signature of manifest {}: looked at {}; {}; trusted keys: {}",
            printable(search.image),
            manifest.to_string(),
            looked,
            found,
            keys.describe()
        )
    );
}

} // namespace sluice::trust
