// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <thread>

namespace sluice::test {

/// A FUSE file system with one file, whatever name it is asked for by, until stall(): from then on it is like one whose
/// daemon hangs. All that asks it anything waits until this object is destroyed.
class StallingFiles {
public:
    /// Mounts it at `dir`. Needs root; throws std::system_error where there is no FUSE.
    StallingFiles(std::string dir, std::string content);
    StallingFiles(const StallingFiles&) = delete;
    StallingFiles& operator=(const StallingFiles&) = delete;
    ~StallingFiles();

    /// Returns when nothing more is answered.
    void stall();

private:
    struct Request;

    void serve();
    void answer_one();
    void answer(const Request& request);
    void reply(std::uint64_t unique, int error, std::span<const std::byte> body) const;

    std::string dir_;
    std::string content_;
    UniqueFd stop_; // eventfd
    UniqueFd fuse_;
    std::thread thread_;
};

} // namespace sluice::test
