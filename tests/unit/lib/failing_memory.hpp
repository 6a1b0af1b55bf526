// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace sluice::test {

/// Lets `count` more allocations of this thread succeed, and the next ones fail; negative: all succeed.
void fail_after_allocations(int count) noexcept;

} // namespace sluice::test
