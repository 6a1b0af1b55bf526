// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/unique_fd.hpp"
#include "tests/bench/workload.hpp"
#include "tests/support/temp_dir.hpp"

#include <string>

namespace sluice::bench {

/// An empty sparse file on the disk that the rig uses too, opened with O_DIRECT.
class StoreFile {
public:
    explicit StoreFile(std::uint64_t size);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

private:
    test::TempDir dir_;
    UniqueFd fd_;
};

/// A reader that gets each range by a GET of its own over one kept connection, and throws the bytes away.
[[nodiscard]] std::function<bool(ByteRange)> bare_curl(const std::string& url);

/// The same, but each range is written to `file` in one piece once it is there.
[[nodiscard]] std::function<bool(ByteRange)> storing_curl(const std::string& url, const StoreFile& file);

} // namespace sluice::bench
