// SPDX-License-Identifier: Apache-2.0
#include "daemon/check_system.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <utility>

namespace sluice::daemon {

using protocol::ProbeResult;
using protocol::ProbeStatus;

namespace {

bool works(const std::vector<ProbeResult>& results)
{
    return std::ranges::none_of(results, [](const ProbeResult& r) { return r.status == ProbeStatus::kFailed; });
}

const std::string& first_fault(const std::vector<ProbeResult>& results)
{
    return std::ranges::find(results, ProbeStatus::kFailed, &ProbeResult::status)->text;
}

void soften(std::vector<ProbeResult>& results)
{
    for (auto& result : results) {
        if (result.status == ProbeStatus::kFailed) {
            result.status = ProbeStatus::kWarning;
        }
    }
}

} // namespace

SystemReport judge_system(
    FrontEndMode mode,
    std::vector<ProbeResult> cachefiles,
    std::vector<ProbeResult> fuse,
    std::vector<ProbeResult> common
)
{
    const bool may_cachefiles = mode == FrontEndMode::kAuto || mode == FrontEndMode::kCachefiles;
    const bool may_fuse = mode == FrontEndMode::kAuto || mode == FrontEndMode::kFuse;
    SystemReport report;
    ProbeResult verdict{"front-end", ProbeStatus::kFailed, "neither cachefiles nor fuse works", "mend one of the two"};
    if (mode == FrontEndMode::kNone) {
        report.front_end = "none";
        verdict = {verdict.name, ProbeStatus::kOk, "none (as configured): libsluice only, nothing can be mounted", {}};
    } else if (may_cachefiles && works(cachefiles)) {
        report.front_end = "cachefiles";
        verdict = {verdict.name, ProbeStatus::kOk, "cachefiles: the kernel has on-demand mode", {}};
    } else if (may_fuse && works(fuse)) {
        report.front_end = "fuse";
        const auto why =
            may_cachefiles ? fmt::format("not cachefiles: {}", first_fault(cachefiles)) : std::string{"as configured"};
        verdict = {verdict.name, ProbeStatus::kOk, fmt::format("fuse ({})", why), {}};
    } else if (mode != FrontEndMode::kAuto) {
        verdict.text =
            may_fuse ? "fuse, which is configured, does not work" : "cachefiles, which is configured, does not work";
        verdict.advice = "mend it, or set front-end auto";
    }
    if (!report.front_end.empty()) {
        soften(cachefiles);
        soften(fuse);
    }
    report.able = !report.front_end.empty() && works(common);
    const auto add = [&report](std::vector<ProbeResult>& results) {
        std::ranges::move(results, std::back_inserter(report.results));
    };
    if (may_cachefiles) {
        add(cachefiles);
    }
    if (may_fuse) {
        add(fuse);
    }
    report.results.push_back(std::move(verdict));
    add(common);
    return report;
}

SystemReport check_system(protocol::KernelIo& io, const Config& config)
{
    protocol::ProbeConfig probe;
    probe.cache_dir = config.dir;
    probe.tag = config.tag;
    if (config.front_end == FrontEndMode::kNone) {
        return judge_system(config.front_end, {}, {}, protocol::probe_cache_dir(config.dir));
    }
    std::vector<ProbeResult> cachefiles;
    std::vector<ProbeResult> fuse;
    if (config.front_end != FrontEndMode::kFuse) {
        cachefiles = protocol::probe_cachefiles(io, probe);
    }
    if (config.front_end != FrontEndMode::kCachefiles) {
        fuse = protocol::probe_fuse(probe);
    }
    return judge_system(config.front_end, std::move(cachefiles), std::move(fuse), protocol::probe_common(probe));
}

} // namespace sluice::daemon
