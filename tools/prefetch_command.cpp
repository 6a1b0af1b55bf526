// SPDX-License-Identifier: Apache-2.0
#include "tools/prefetch_command.hpp"

#include "base/clock.hpp"
#include "base/text.hpp"
#include "tools/blob_watch.hpp"
#include "tools/progress.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>

namespace sluice::tools {

std::string describe_rate(std::uint64_t came, std::uint64_t missing, std::chrono::duration<double> elapsed)
{
    constexpr double kLeastSeconds = 0.001;
    constexpr std::uint64_t kMinute = 60;
    constexpr std::uint64_t kHour = 60 * kMinute;
    const auto rate = static_cast<double>(came) / std::max(elapsed.count(), kLeastSeconds);
    const auto text = format_size(static_cast<std::uint64_t>(rate)) + "/s";
    if (came == 0) {
        return text;
    }
    const auto left = static_cast<std::uint64_t>(static_cast<double>(missing) / rate);
    return left >= kHour ? fmt::format("{} {}:{:02}:{:02}", text, left / kHour, left % kHour / kMinute, left % kMinute)
                         : fmt::format("{} {}:{:02}", text, left / kMinute, left % kMinute);
}

Result<PrefetchOutcome> run_prefetch(ControlApi& daemon, const std::string& reference)
{
    const auto image = daemon.call("POST", "/v1/images", {{"reference", reference}});
    if (!image) {
        return fail(image.error());
    }
    const auto cookies = cookies_of(*image);
    const auto blobs = daemon.call("GET", "/v1/blobs");
    if (!blobs) {
        return fail(blobs.error());
    }
    const auto before = share_of(*blobs, cookies);
    const auto begin = SteadyClock::now();
    ProgressLine line{STDERR_FILENO};
    ControlApi::OnBlobs on_blobs;
    if (line.on_terminal()) {
        on_blobs = [&](const Json& answer) {
            if (answer.is_null()) {
                return;
            }
            const auto share = share_of(answer, cookies);
            const auto came = share.done - std::min(share.done, before.done);
            const auto missing = share.total - std::min(share.total, share.done);
            line.show(describe_rate(came, missing, SteadyClock::now() - begin), share.done, share.total);
        };
    }
    const auto completed = daemon.call("POST", "/v1/images", {{"reference", reference}, {"complete", true}}, on_blobs);
    if (!completed) {
        return fail(completed.error());
    }
    const auto* name = json_string(*completed, "reference");
    return PrefetchOutcome{
        name == nullptr ? reference : *name, before.total, before.total - std::min(before.total, before.done)};
}

} // namespace sluice::tools
