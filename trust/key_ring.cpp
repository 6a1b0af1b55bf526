// SPDX-License-Identifier: Apache-2.0
#include "trust/key_ring.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace sluice::trust {

bool is_within(std::string_view repository, std::string_view prefix) noexcept
{
    return !prefix.empty() && repository.starts_with(prefix) &&
           (repository.size() == prefix.size() || repository[prefix.size()] == '/');
}

bool TrustedKey::may_sign_for(std::string_view repository) const noexcept
{
    return repositories.empty() ||
           std::any_of(repositories.begin(), repositories.end(), [&](const std::string& prefix) {
               return is_within(repository, prefix);
           });
}

Result<KeyRing> KeyRing::load(std::span<const KeyFile> files)
{
    KeyRing ring;
    for (const auto& [file, repositories] : files) {
        auto key = PublicKey::load(file);
        if (!key) {
            return fail(key.error());
        }
        ring.add(std::move(*key), repositories);
    }
    return ring;
}

void KeyRing::add(PublicKey key, std::vector<std::string> repositories)
{
    const auto same = [&](const TrustedKey& known) { return known.key.id() == key.id(); };
    const auto known = std::find_if(keys_.begin(), keys_.end(), same);
    if (known == keys_.end()) {
        keys_.push_back({std::move(key), std::move(repositories)});
    } else if (known->repositories.empty() || repositories.empty()) {
        known->repositories.clear();
    } else {
        known->repositories.insert(known->repositories.end(), repositories.begin(), repositories.end());
    }
}

std::string KeyRing::describe() const
{
    std::string text;
    for (const auto& [key, repositories] : keys_) {
        text += text.empty() ? "" : ", ";
        text += key.describe();
        if (!repositories.empty()) {
            text += fmt::format(" for {}", fmt::join(repositories, " and "));
        }
    }
    return text.empty() ? "none" : text;
}

const TrustedKey* KeyRing::find_signer(std::span<const std::byte> message, std::span<const std::byte> signature) const
{
    const auto made_it = [&](const TrustedKey& trusted) { return trusted.key.verify(message, signature); };
    const auto it = std::find_if(keys_.begin(), keys_.end(), made_it);
    return it == keys_.end() ? nullptr : &*it;
}

const TrustedKey* KeyRing::find(const Digest& id) const noexcept
{
    const auto it = std::find_if(keys_.begin(), keys_.end(), [&](const TrustedKey& t) { return t.key.id() == id; });
    return it == keys_.end() ? nullptr : &*it;
}

} // namespace sluice::trust
