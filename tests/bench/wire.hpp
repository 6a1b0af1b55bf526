// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace sluice::bench {

/// Moves this process into a network namespace of its own, whose loopback passes `rate` ("1gbit", as tc(8) writes it):
/// loopback has no speed of its own, so that only this makes a download wait for its wire. Needs ip(8), tc(8) and
/// either root or user namespaces. Call it before any thread is made. Throws std::runtime_error.
void limit_loopback(const std::string& rate);

} // namespace sluice::bench
