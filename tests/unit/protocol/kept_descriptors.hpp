// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/fd_store.hpp"

#include <fcntl.h>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::protocol {

/// Descriptors by name, as systemd keeps them.
class KeptDescriptors {
public:
    [[nodiscard]] FdStore store()
    {
        std::vector<FdStore::Named> inherited;
        for (const auto& [name, descriptor] : kept_) {
            inherited.push_back({name, UniqueFd{kAdoptFd, ::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 0)}});
        }
        return {std::move(inherited), [this](const std::string& message, int descriptor) {
                    return told(message, descriptor);
                }};
    }

    [[nodiscard]] int of(std::string_view name) const { return kept_.at(std::string{name}).get(); }

    [[nodiscard]] bool empty() const noexcept { return kept_.empty(); }

    void clear() { kept_.clear(); }

private:
    Result<void> told(const std::string& message, int descriptor)
    {
        const auto from = message.find("FDNAME=") + 7;
        const auto name = message.substr(from, message.find('\n', from) - from);
        if (message.starts_with("FDSTOREREMOVE=1")) {
            kept_.erase(name);
        } else {
            kept_[name] = UniqueFd{kAdoptFd, ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)};
        }
        return {};
    }

    std::map<std::string, UniqueFd> kept_;
};

} // namespace sluice::protocol
