// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/digest.hpp"
#include "base/one_shot.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

#include <map>
#include <utility>
#include <vector>

namespace sluice::daemon {

/// The blobs whose backing files are being removed at this moment: whoever is going to open one waits for the end of
/// that, and then begins with an empty file. Loop thread only.
class Removals {
public:
    explicit Removals(EventLoop& loop) : loop_{loop} {}

    Removals(const Removals&) = delete;
    Removals& operator=(const Removals&) = delete;

    void begin(const Digest& identity) { waiting_.try_emplace(identity); }

    void end(const Digest& identity)
    {
        auto ended = waiting_.extract(identity);
        if (!ended.empty()) {
            for (const auto& waiter : ended.mapped()) {
                waiter.set(Result<void>{});
            }
        }
    }

    [[nodiscard]] bool contains(const Digest& identity) const { return waiting_.contains(identity); }

    /// Ends when the file is not being removed any more.
    [[nodiscard]] Task<Result<void>> wait(Digest identity)
    {
        while (contains(identity)) {
            const OneShot<Result<void>> ended{loop_};
            waiting_.at(identity).push_back(ended.setter());
            (void)co_await ended;
        }
        co_return Result<void>{};
    }

private:
    EventLoop& loop_;
    std::map<Digest, std::vector<OneShot<Result<void>>::Setter>> waiting_;
};

} // namespace sluice::daemon
