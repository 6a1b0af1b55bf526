// SPDX-License-Identifier: Apache-2.0
//
// Routes of one destination, for tests that have one source for all repositories.
#pragma once

#include "fetcher/image_source.hpp"

#include <string>

namespace sluice::test {

[[nodiscard]] inline fetcher::BlobRoute only(fetcher::BlobSource& source)
{
    return [&source](const std::string&) -> fetcher::BlobSource& { return source; };
}

[[nodiscard]] inline fetcher::ImageRoute only_images(fetcher::ImageSource& source)
{
    return [&source](const std::string&) -> fetcher::ImageSource& { return source; };
}

} // namespace sluice::test
