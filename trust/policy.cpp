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
