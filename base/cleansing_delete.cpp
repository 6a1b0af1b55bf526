// SPDX-License-Identifier: Apache-2.0
#include "base/cleansing_delete.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>
#include <string.h> // NOLINT(modernize-deprecated-headers): explicit_bzero

// NOLINTBEGIN(cppcoreguidelines-no-malloc, cppcoreguidelines-owning-memory): the allocator itself

namespace sluice {

namespace {

constexpr std::size_t kLargest = 64 * 1024;

} // namespace

void cleansing_free(void* block) noexcept
{
    if (block == nullptr) {
        return;
    }
    const auto size = ::malloc_usable_size(block);
    if (size <= kLargest) {
        ::explicit_bzero(block, size);
    }
    std::free(block);
}

void* cleansing_realloc(void* block, std::size_t size) noexcept
{
    if (block == nullptr) {
        return std::malloc(size);
    }
    const auto before = ::malloc_usable_size(block);
    if (before > kLargest) {
        return std::realloc(block, size);
    }
    auto* larger = std::malloc(size);
    if (larger != nullptr) {
        std::memcpy(larger, block, std::min(before, size));
        cleansing_free(block);
    }
    return larger;
}

} // namespace sluice

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLUICE_DELETE_IS_THE_SANITIZERS // which brings its own
#endif
#endif
#ifndef SLUICE_DELETE_IS_THE_SANITIZERS
// The standard library's forms for arrays and sizes all end in these, as does its nothrow one, but not
// AddressSanitizer's; those for larger alignments stay its own.
void* operator new(std::size_t size)
{
    for (;;) {
        if (auto* block = std::malloc(std::max<std::size_t>(size, 1))) {
            return block;
        }
        const auto handler = std::get_new_handler();
        if (handler == nullptr) {
            throw std::bad_alloc{};
        }
        handler();
    }
}

void* operator new(std::size_t size, const std::nothrow_t& /*unused*/) noexcept
{
    try {
        return ::operator new(size);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void operator delete(void* block) noexcept
{
    sluice::cleansing_free(block);
}

void operator delete(void* block, std::size_t /*size*/) noexcept
{
    sluice::cleansing_free(block);
}
#endif

// NOLINTEND(cppcoreguidelines-no-malloc, cppcoreguidelines-owning-memory)
