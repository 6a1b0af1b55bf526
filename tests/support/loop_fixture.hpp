// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/task.hpp"

#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <optional>
#include <utility>

namespace sluice::test {

/// How many descriptors this process has open.
[[nodiscard]] std::size_t count_open_fds();

/// A fixture whose tests must close every descriptor they open: members of derived fixtures included.
class FdLeakTest : public ::testing::Test {
protected:
    void SetUp() override { before_ = count_open_fds(); }

    void TearDown() override { EXPECT_EQ(count_open_fds(), before_) << "this test leaks file descriptors"; }

private:
    std::size_t before_ = 0;
};

/// Turns `loop` until `condition` holds; false when it still does not after `limit` (a safety net, not a timing).
[[nodiscard]] bool
run_until(EventLoop& loop, const std::function<bool()>& condition, milliseconds limit = std::chrono::seconds{30});

/// Turns the loop until `task` has ended, and yields its value.
template <typename T>
std::optional<T> run_task(EventLoop& loop, Task<T> task)
{
    std::optional<T> value;
    {
        TaskScope scope{loop};

        struct Collect {
            static Task<void> into(std::optional<T>& out, Task<T> inner)
            {
                auto outcome = co_await inner;
                out.emplace(std::move(outcome));
            }
        };

        scope.spawn(Collect::into(value, std::move(task)));
        EXPECT_TRUE(run_until(loop, [&] { return value.has_value(); })) << "a task did not end";
    }
    return value;
}

} // namespace sluice::test
