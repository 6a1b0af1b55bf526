// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "protocol/fuse_state.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::protocol {

/// What there is to be seen. Called on the loop's thread; must not wait.
struct FuseContents {
    std::function<std::optional<std::uint64_t>(std::string_view cookie)> size_of;
    std::function<std::vector<std::string>()> cookies; ///< sorted
};

/// The files of the FUSE file system: names, node ids and sizes. A name keeps its node id for as long as the connection
/// lives, whoever serves it. Loop thread only.
class FuseFiles {
public:
    /// `state` must outlive this object.
    FuseFiles(FuseContents contents, FuseState& state);

    /// The file of that name. Its code() is what the asker is told: ENOENT, or ENFILE when there are no more node ids.
    [[nodiscard]] Result<FuseFile> find(std::string_view name);
    /// Nothing where there is no such node, or its blob is gone.
    [[nodiscard]] std::optional<FuseFile> get(std::uint64_t inode) const;

    /// Up to `room` bytes of the directory, behind what the kernel has already.
    [[nodiscard]] FuseListing list(std::uint64_t from, std::size_t room) const;

private:
    FuseContents contents_;
    FuseState& state_;
    std::map<std::string, std::uint64_t, std::less<>> inodes_;
    bool has_told_full_ = false;
};

} // namespace sluice::protocol
