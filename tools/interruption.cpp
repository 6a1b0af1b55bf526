// SPDX-License-Identifier: Apache-2.0
#include "tools/interruption.hpp"

#include <csignal>
#include <cstdio>

namespace sluice::tools {

int end_by_signal(int signal) noexcept
{
    constexpr int kShellsWay = 128;
    (void)std::fflush(nullptr);
    sigset_t only{};
    sigemptyset(&only);
    sigaddset(&only, signal);
    (void)std::signal(signal, SIG_DFL);
    (void)std::raise(signal);
    (void)::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
    return kShellsWay + signal;
}

} // namespace sluice::tools
