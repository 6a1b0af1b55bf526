// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"

#include <filesystem>

namespace sluice::tools {

/// A fresh directory below $TMPDIR (else /var/tmp: images are large), for this user only, removed with all it holds.
class TempTree {
public:
    [[nodiscard]] static Result<TempTree> make();

    TempTree(TempTree&& other) noexcept;
    TempTree& operator=(TempTree&& other) noexcept;
    TempTree(const TempTree&) = delete;
    TempTree& operator=(const TempTree&) = delete;
    ~TempTree();

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

private:
    explicit TempTree(std::filesystem::path path) : path_{std::move(path)} {}

    void remove() noexcept;

    std::filesystem::path path_; // empty: moved from
};

} // namespace sluice::tools
