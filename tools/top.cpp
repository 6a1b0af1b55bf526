// SPDX-License-Identifier: Apache-2.0
#include "tools/top.hpp"

#include "base/clock.hpp"
#include "base/text.hpp"
#include "tools/blob_watch.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <string_view>
#include <utility>

namespace sluice::tools {

namespace {

constexpr std::size_t kLongestName = 4096;
constexpr std::uint64_t kMinute = 60;
constexpr std::uint64_t kHour = 60 * kMinute;
constexpr std::uint64_t kDay = 24 * kHour;

std::uint64_t number(const Json& document, const char* group, const char* name)
{
    const auto* members = json_member(document, group);
    return members == nullptr ? 0 : json_u64(*members, name).value_or(0);
}

std::string text(const Json& document, const char* name)
{
    const auto* found = json_string(document, name);
    return found == nullptr ? std::string{} : printable(*found, kLongestName);
}

/// How much a number that only grows has grown; 0 when it begins anew.
std::uint64_t growth(std::uint64_t before, std::uint64_t now)
{
    return now > before ? now - before : 0;
}

/// How many READs of all front ends took no longer than each limit. The last limit is infinite.
std::vector<std::pair<double, std::uint64_t>> within(const Json& reads)
{
    std::map<double, std::uint64_t> sums;
    const auto* front_ends = json_member(reads, "front_ends");
    if (front_ends == nullptr || !front_ends->is_object()) {
        return {};
    }
    for (const auto& [name, stats] : front_ends->items()) {
        for (const auto& row : json_rows(stats, "within")) {
            const auto* limit = json_member(row, "ms");
            const bool limited = limit != nullptr && limit->is_number();
            const auto ms = limited ? limit->get<double>() : std::numeric_limits<double>::infinity();
            sums[ms] += json_u64(row, "reads").value_or(0);
        }
    }
    return {sums.begin(), sums.end()};
}

/// The least limit within which `share` of the READs between two samples were answered.
std::optional<double> limit_of(const TopSample& before, const TopSample& now, double share)
{
    auto counts = within(now.reads);
    const auto old = within(before.reads);
    for (std::size_t i = 0; i < std::min(counts.size(), old.size()); ++i) {
        counts[i].second = growth(old[i].second, counts[i].second);
    }
    if (counts.empty() || counts.back().second == 0) {
        return std::nullopt;
    }
    const auto wanted = share * static_cast<double>(counts.back().second);
    const auto found = std::find_if(counts.begin(), counts.end(), [wanted](const auto& limit) {
        return static_cast<double>(limit.second) >= wanted;
    });
    return found == counts.end() ? counts.back().first : found->first;
}

using BlobsByCookie = std::map<std::string, const Json*, std::less<>>;

BlobsByCookie by_cookie(const Json& blobs)
{
    BlobsByCookie found;
    for (const auto& blob : json_rows(blobs, "blobs")) {
        found.emplace(text(blob, "cookie"), &blob);
    }
    return found;
}

TopView::Image view_image(const Json& image, const BlobsByCookie& before, const BlobsByCookie& now, double seconds)
{
    TopView::Image view;
    view.reference = text(image, "reference");
    std::uint64_t reads = 0;
    for (const auto& cookie : cookies_of(image)) {
        const auto found = now.find(cookie);
        if (found == now.end()) {
            continue;
        }
        const auto& blob = *found->second;
        view.stored += json_u64(blob, "present").value_or(0);
        view.size += json_u64(blob, "erofs_size").value_or(0);
        if (const auto* users = json_member(blob, "users"); users != nullptr && users->is_object()) {
            for (const auto& [who, ignored] : users->items()) {
                view.opened += json_u64(*users, who.c_str()).value_or(0);
            }
        }
        if (view.last_error.empty()) {
            view.last_error = last_error_of(blob);
        }
        const auto old = before.find(cookie);
        const auto old_reads = old == before.end() ? 0 : json_u64(*old->second, "reads").value_or(0);
        reads += growth(old_reads, json_u64(blob, "reads").value_or(0));
    }
    view.reads_per_second = static_cast<double>(reads) / seconds;
    return view;
}

std::string age(std::uint64_t seconds)
{
    if (seconds >= kDay) {
        return fmt::format("{}d {:02}:{:02}", seconds / kDay, seconds % kDay / kHour, seconds % kHour / kMinute);
    }
    return fmt::format("{:02}:{:02}:{:02}", seconds / kHour, seconds % kHour / kMinute, seconds % kMinute);
}

std::string limit_text(const std::optional<double>& ms)
{
    if (!ms) {
        return "-";
    }
    return std::isinf(*ms) ? "over 30000 ms" : fmt::format("{:g} ms", *ms);
}

std::string rate(double bytes)
{
    return format_size(static_cast<std::uint64_t>(bytes)) + "/s";
}

std::string size_text(const std::optional<std::uint64_t>& bytes)
{
    return bytes ? format_size(*bytes) : "-";
}

/// The end of a name says most: what does not fit is left out at its front.
std::string fit(const std::string& name, std::size_t width)
{
    constexpr std::string_view kCut = "...";
    return name.size() <= width ? name : std::string{kCut} + name.substr(name.size() - width + kCut.size());
}

class Screen {
public:
    Screen(std::size_t width, std::size_t height) : width_{width}, left_{height} {}

    void line(std::string text)
    {
        if (left_ == 0) {
            return;
        }
        --left_;
        text.resize(std::min(text.size(), width_));
        page_ += text + "\n";
    }

    [[nodiscard]] std::size_t left() const noexcept { return left_; }

    [[nodiscard]] std::string take() { return std::move(page_); }

private:
    std::size_t width_;
    std::size_t left_;
    std::string page_;
};

Json optional_json(const std::optional<double>& value)
{
    return value && !std::isinf(*value) ? Json(*value) : Json(nullptr);
}

} // namespace

Result<TopSample> take_sample(ControlApi& daemon)
{
    TopSample sample;
    const std::pair<const char*, Json*> documents[] = {
        {"/v1/status", &sample.status},
        {"/v1/reads", &sample.reads},
        {"/v1/images", &sample.images},
        {"/v1/blobs", &sample.blobs}};
    for (const auto& [path, into] : documents) {
        auto answer = daemon.call("GET", path);
        if (!answer) {
            return fail(answer.error());
        }
        *into = std::move(*answer);
    }
    sample.seconds = std::chrono::duration<double>(SteadyClock::now().time_since_epoch()).count();
    return sample;
}

TopView make_view(const TopSample& before, const TopSample& now)
{
    constexpr double kLeastSeconds = 0.001;
    const auto seconds = std::max(now.seconds - before.seconds, kLeastSeconds);
    const auto grown = [&](const char* group, const char* name) {
        return growth(number(before.status, group, name), number(now.status, group, name));
    };
    const auto per_second = [&](const char* group, const char* name) {
        return static_cast<double>(grown(group, name)) / seconds;
    };
    TopView view;
    view.version = text(now.status, "version");
    if (const auto* front_end = json_member(now.status, "front_end")) {
        view.front_end = text(*front_end, "name");
    }
    view.uptime_seconds = json_u64(now.status, "uptime_seconds").value_or(0);
    view.takeovers = json_u64(now.status, "takeovers").value_or(0);
    view.reads_per_second = per_second("counters", "reads");
    if (const auto reads = grown("counters", "reads"); reads > 0) {
        const auto found = std::min(grown("counters", "reads_already_there"), reads);
        view.found_in_cache = static_cast<double>(found) / static_cast<double>(reads);
    }
    view.failed_per_second = per_second("counters", "reads_failed");
    view.waiting = number(now.status, "in_flight", "reads");
    view.oldest_ms = number(now.status, "in_flight", "oldest_read_ms");
    view.fetched_per_second = per_second("fetcher", "bytes_received");
    view.retries_per_second = per_second("fetcher", "retries");
    if (const auto* cache = json_member(now.status, "cache")) {
        view.free_bytes = json_u64(*cache, "free_bytes");
        view.total_bytes = json_u64(*cache, "total_bytes");
        const auto* low = json_member(*cache, "low_space");
        view.low_space = low != nullptr && low->is_boolean() && low->get<bool>();
    }
    view.half_within_ms = limit_of(before, now, 0.5);
    view.most_within_ms = limit_of(before, now, 0.99);
    const auto old_blobs = by_cookie(before.blobs);
    const auto blobs = by_cookie(now.blobs);
    for (const auto& image : json_rows(now.images, "images")) {
        view.images.push_back(view_image(image, old_blobs, blobs, seconds));
    }
    std::stable_sort(view.images.begin(), view.images.end(), [](const auto& a, const auto& b) {
        return std::tuple{a.reads_per_second, a.opened, a.stored} > std::tuple{b.reads_per_second, b.opened, b.stored};
    });
    return view;
}

Json to_json(const TopView& view)
{
    Json images = Json::array();
    for (const auto& image : view.images) {
        images.push_back(
            {{"reference", image.reference},
             {"stored_bytes", image.stored},
             {"size_bytes", image.size},
             {"reads_per_second", image.reads_per_second},
             {"opened", image.opened},
             {"last_error", image.last_error.empty() ? Json(nullptr) : Json(image.last_error)}}
        );
    }
    return {
        {"reads_per_second", view.reads_per_second},
        {"found_in_cache", optional_json(view.found_in_cache)},
        {"failed_per_second", view.failed_per_second},
        {"reads_waiting", view.waiting},
        {"oldest_read_ms", view.oldest_ms},
        {"bytes_fetched_per_second", view.fetched_per_second},
        {"retries_per_second", view.retries_per_second},
        {"half_within_ms", optional_json(view.half_within_ms)},
        {"most_within_ms", optional_json(view.most_within_ms)},
        {"images", std::move(images)}};
}

std::string render(const TopView& view, std::size_t width, std::size_t height)
{
    constexpr std::size_t kColumns = 42; // all but the name
    constexpr std::size_t kLeastName = 12;
    Screen screen{width, height};
    screen.line(fmt::format(
        "sluiced {}, up {}, front end {}, images {}, takeovers {}",
        view.version,
        age(view.uptime_seconds),
        view.front_end,
        view.images.size(),
        view.takeovers
    ));
    screen.line(fmt::format(
        "reads    {:.1f}/s, {} in the cache already, {:.1f}/s failed",
        view.reads_per_second,
        view.found_in_cache ? fmt::format("{:.0f} %", *view.found_in_cache * 100) : "-",
        view.failed_per_second
    ));
    screen.line(fmt::format(
        "waiting  {}{}; half of all within {}, 99 % within {}",
        view.waiting,
        view.waiting == 0 ? "" : fmt::format(", the oldest for {:.1f} s", static_cast<double>(view.oldest_ms) / 1000),
        limit_text(view.half_within_ms),
        limit_text(view.most_within_ms)
    ));
    screen.line(fmt::format("network  {}, {:.1f} retries/s", rate(view.fetched_per_second), view.retries_per_second));
    screen.line(fmt::format(
        "disk     {} free of {}{}",
        size_text(view.free_bytes),
        size_text(view.total_bytes),
        view.low_space ? "; LOW: nothing more is stored" : ""
    ));
    screen.line("");
    const auto name_width = std::max(width, kColumns + kLeastName) - kColumns;
    screen.line(fmt::format("{:<{}} {:>10} {:>10} {:>9} {:>8}", "IMAGE", name_width, "STORED", "OF", "READS/S", "OPEN")
    );
    for (const auto& image : view.images) {
        screen.line(fmt::format(
            "{:<{}} {:>10} {:>10} {:>9.1f} {:>8}",
            fit(image.reference, name_width),
            name_width,
            format_size(image.stored),
            format_size(image.size),
            image.reads_per_second,
            image.opened
        ));
        if (!image.last_error.empty() && screen.left() > 0) {
            screen.line("  " + image.last_error);
        }
    }
    return screen.take();
}

} // namespace sluice::tools
