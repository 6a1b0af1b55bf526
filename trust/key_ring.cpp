// SPDX-License-Identifier: Apache-2.0
#include "trust/key_ring.hpp"

#include <algorithm>
#include <utility>

namespace sluice::trust {

Result<KeyRing> KeyRing::load(std::span<const std::filesystem::path> files)
{
    KeyRing ring;
    for (const auto& file : files) {
        auto key = PublicKey::load(file);
        if (!key) {
            return fail(key.error());
        }
        ring.add(std::move(*key));
    }
    return ring;
}

void KeyRing::add(PublicKey key)
{
    const auto same = [&](const PublicKey& known) { return known.id() == key.id(); };
    if (std::none_of(keys_.begin(), keys_.end(), same)) {
        keys_.push_back(std::move(key));
    }
}

std::string KeyRing::describe() const
{
    std::string text;
    for (const auto& key : keys_) {
        text += text.empty() ? "" : ", ";
        text += key.describe();
    }
    return text.empty() ? "none" : text;
}

const PublicKey* KeyRing::find_signer(std::span<const std::byte> message, std::span<const std::byte> signature) const
{
    const auto made_it = [&](const PublicKey& key) { return key.verify(message, signature); };
    const auto it = std::find_if(keys_.begin(), keys_.end(), made_it);
    return it == keys_.end() ? nullptr : &*it;
}

} // namespace sluice::trust
