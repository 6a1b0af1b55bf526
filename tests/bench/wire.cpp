// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/wire.hpp"

#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>
#include <sched.h>
#include <stdexcept>
#include <system_error>
#include <unistd.h>

namespace sluice::bench {

void limit_loopback(const std::string& rate)
{
    if (rate.find_first_not_of("0123456789.abcdefghijklmnopqrstuvwxyz") != std::string::npos) {
        throw std::runtime_error{fmt::format("--wire {}: not a rate", rate)};
    }
    const int flags = CLONE_NEWNET | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
    if (::unshare(flags) != 0) {
        throw std::system_error{errno, std::system_category(), "--wire: cannot make a network namespace"};
    }
    // What flows back passes the same queue; requests and acknowledgements are small beside the data.
    const auto command =
        fmt::format("ip link set lo up && tc qdisc add dev lo root tbf rate {} burst 512kb latency 100ms", rate);
    if (std::system(command.c_str()) != 0) { // NOLINT(cert-env33-c,concurrency-mt-unsafe): before any thread
        throw std::runtime_error{fmt::format("--wire: \"{}\" failed", command)};
    }
}

} // namespace sluice::bench
