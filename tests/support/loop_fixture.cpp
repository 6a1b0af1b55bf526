// SPDX-License-Identifier: Apache-2.0
#include "tests/support/loop_fixture.hpp"

#include <filesystem>

namespace sluice::test {

std::size_t count_open_fds()
{
    const std::filesystem::directory_iterator fds{"/proc/self/fd"};
    return static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
}

bool run_until(EventLoop& loop, const std::function<bool()>& condition, milliseconds limit)
{
    const auto deadline = Deadline::after(limit);
    while (!condition()) {
        if (deadline.passed()) {
            return false;
        }
        loop.run_once(milliseconds{100});
    }
    return true;
}

} // namespace sluice::test
