// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace sluice {

/// A number that cannot be mixed up with one of another kind.
template <typename Tag>
struct Id {
    std::uint32_t value = 0;

    friend constexpr auto operator<=>(Id, Id) noexcept = default;
};

/// One generation of an opened blob. The kernel hands out a new one at each reopening.
using ObjectId = Id<struct ObjectTag>;

/// One pending request. The kernel reuses these: never a key for anything that outlives the request.
using MessageId = Id<struct MessageTag>;

} // namespace sluice

template <typename Tag>
struct std::hash<sluice::Id<Tag>> {
    [[nodiscard]] std::size_t operator()(sluice::Id<Tag> id) const noexcept
    {
        return std::hash<std::uint32_t>{}(id.value);
    }
};
