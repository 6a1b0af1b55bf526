// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/fd_store.hpp"

#include <fcntl.h>
#include <string>
#include <utility>
#include <vector>

namespace sluice::test {

/// What systemd's fd store is to a daemon, for daemons that live and die in the test's own process. Outlives the stores
/// that it makes.
class DescriptorKeeper {
public:
    /// For the next daemon: with duplicates of what is kept.
    [[nodiscard]] FdStore next_life()
    {
        std::vector<FdStore::Named> inherited;
        for (const auto& one : kept_) {
            inherited.push_back({one.name, duplicate(one.descriptor.get())});
        }
        return {std::move(inherited), [this](const std::string& message, int descriptor) -> Result<void> {
                    told(message, descriptor);
                    return {};
                }};
    }

    [[nodiscard]] std::vector<std::string> names() const
    {
        std::vector<std::string> names;
        for (const auto& one : kept_) {
            names.push_back(one.name);
        }
        return names;
    }

    /// What is kept under that name; -1 when nothing is.
    [[nodiscard]] int descriptor(const std::string& name) const
    {
        for (const auto& one : kept_) {
            if (one.name == name) {
                return one.descriptor.get();
            }
        }
        return -1;
    }

    void clear() { kept_.clear(); }

private:
    static UniqueFd duplicate(int fd) { return UniqueFd{kAdoptFd, ::fcntl(fd, F_DUPFD_CLOEXEC, 0)}; }

    void told(const std::string& message, int descriptor)
    {
        const auto begin = message.find("FDNAME=") + 7;
        const auto name = message.substr(begin, message.find('\n', begin) - begin);
        if (message.rfind("FDSTOREREMOVE=1", 0) == 0) {
            std::erase_if(kept_, [&name](const FdStore::Named& one) { return one.name == name; });
        } else {
            kept_.push_back({name, duplicate(descriptor)});
        }
    }

    std::vector<FdStore::Named> kept_;
};

} // namespace sluice::test
