// SPDX-License-Identifier: Apache-2.0
#include "base/secret.hpp"

#include <algorithm>
#include <string.h> // NOLINT(modernize-deprecated-headers): explicit_bzero
#include <unistd.h>
#include <utility>

namespace sluice {

Secret& Secret::operator=(Secret&& other) noexcept
{
    if (this != &other) {
        cleanse();
        text_ = std::move(other.text_);
    }
    return *this;
}

bool Secret::append(std::string_view more)
{
    if (text_.capacity() - text_.size() < more.size()) {
        return false;
    }
    text_.insert(text_.end(), more.begin(), more.end());
    return true;
}

void Secret::truncate(std::size_t size)
{
    if (size < text_.size()) {
        ::explicit_bzero(text_.data() + size, text_.size() - size);
        text_.resize(size);
    }
}

ssize_t Secret::read_from(int fd)
{
    const auto before = text_.size();
    text_.resize(text_.capacity()); // within the allocation: nothing moves
    const auto count = ::read(fd, text_.data() + before, text_.size() - before);
    text_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return count;
}

void Secret::cleanse() noexcept
{
    if (!text_.empty()) { // else there may be no memory at all
        ::explicit_bzero(text_.data(), text_.size());
    }
}

} // namespace sluice
