// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Descriptors that outlive this process: systemd's fd store, or `sluiced --keeper`, keeps them by name and gives them
/// to the next process. Loop thread only.
class FdStore {
public:
    struct Named {
        std::string name;
        UniqueFd descriptor;
    };

    /// Tells the keeper `message`, with a descriptor unless that is -1.
    using Tell = std::function<Result<void>(const std::string& message, int descriptor)>;

    /// Nothing inherited, nothing kept: for tests and for a daemon that nobody keeps descriptors for.
    FdStore() = default;

    /// `tell` is empty when nobody keeps descriptors.
    FdStore(std::vector<Named> inherited, Tell tell);

    /// Takes what the environment brings (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), close-on-exec, and unsets the
    /// variables. It keeps where NOTIFY_SOCKET is set, and FDSTORE is: the number of descriptors that the manager takes
    /// (systemd sets it from 254 on, the unit for older ones, `sluiced --keeper` always). Before any thread is started.
    [[nodiscard]] static FdStore from_environment();

    /// Whether somebody keeps descriptors for this process.
    [[nodiscard]] bool keeps() const noexcept { return static_cast<bool>(tell_); }

    /// Whether a descriptor of that name was inherited, and not taken yet.
    [[nodiscard]] bool has(std::string_view name) const;

    /// The inherited descriptor of that name; invalid when there is none. Of two with one name the first counts; the
    /// rest are closed and logged.
    [[nodiscard]] UniqueFd take(std::string_view name);

    /// Stores a duplicate under the name. An older one of that name goes first. Does nothing where nobody keeps.
    [[nodiscard]] Result<void> keep(std::string_view name, int descriptor);

    /// What is kept under the name is let go.
    void forget(std::string_view name);

    /// Logs and closes what nobody took, and has it forgotten.
    void settle();

private:
    std::vector<Named> inherited_;
    std::set<std::string, std::less<>> kept_; ///< names that the keeper has
    Tell tell_;
};

} // namespace sluice
