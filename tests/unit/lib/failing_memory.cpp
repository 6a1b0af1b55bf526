// SPDX-License-Identifier: Apache-2.0
// In a file of its own, because where the compiler sees them with their callers it takes them for a mismatched pair.
#include "tests/unit/lib/failing_memory.hpp"

#include <cstdlib>
#include <new>

namespace {

thread_local int allocations_left = -1;

} // namespace

void sluice::test::fail_after_allocations(int count) noexcept
{
    allocations_left = count;
}

// NOLINTBEGIN(cppcoreguidelines-no-malloc)
void* operator new(std::size_t size)
{
    if (allocations_left == 0) {
        throw std::bad_alloc{};
    }
    allocations_left -= allocations_left > 0 ? 1 : 0;
    if (void* memory = std::malloc(size != 0 ? size : 1); memory != nullptr) {
        return memory;
    }
    throw std::bad_alloc{};
}

void operator delete(void* memory) noexcept
{
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept
{
    std::free(memory);
}

// NOLINTEND(cppcoreguidelines-no-malloc)
