// SPDX-License-Identifier: Apache-2.0
#include "daemon/clean_stop.hpp"

#include "base/log.hpp"

#include <fmt/format.h>
#include <fstream>
#include <utility>

namespace sluice::daemon {

namespace {

constexpr const char* kClean = "clean";

std::string clean_in(const std::string& boot)
{
    return fmt::format("left clean in boot {}", boot);
}

} // namespace

std::string this_boot()
{
    std::string boot;
    std::ifstream{"/proc/sys/kernel/random/boot_id"} >> boot;
    return boot;
}

CleanStop::CleanStop(const cache::CacheDir& dir, std::string boot)
    : dir_{dir}
    , boot_{std::move(boot)}
    , was_clean_{dir.last_note() == kClean || (!boot_.empty() && dir.last_note() == clean_in(boot_))}
{}

CleanStop::~CleanStop()
{
    if (end_ == End::kUnclean) {
        return;
    }
    auto done = end_ == End::kFinish ? dir_.sync() : Result<void>{};
    if (done) {
        done = dir_.note(end_ == End::kFinish ? kClean : clean_in(boot_));
    }
    if (!done) {
        log::warning("the next start will look at all cached blobs: {}", done.error().text());
    }
}

} // namespace sluice::daemon
