// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace sluice {

/// Text that leaves no copy in memory when it goes: passphrases, passwords, private keys. Never grows beyond its first
/// allocation.
class Secret {
public:
    /// Room for `capacity` bytes.
    explicit Secret(std::size_t capacity = 0) { text_.reserve(capacity); }

    explicit Secret(std::string_view text) : text_(text.begin(), text.end()) {}

    Secret(Secret&& other) noexcept = default;
    Secret& operator=(Secret&& other) noexcept;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;

    ~Secret() { cleanse(); }

    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), text_.size()}; }

    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

    /// False, and nothing appended, when there is no room.
    bool append(std::string_view more);

    /// Takes bytes away at the end until `size` are left.
    void truncate(std::size_t size);

    /// Appends what one read(2) gives, as far as there is room: its result.
    [[nodiscard]] ssize_t read_from(int fd);

private:
    void cleanse() noexcept;

    std::vector<char> text_; // on the heap whatever its size, so that a move leaves nothing behind
};

} // namespace sluice
