// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/backoff.hpp"
#include "base/event_loop.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "fetcher/blob_source.hpp"
#include "fetcher/source_blames.hpp"
#include "fetcher/source_health.hpp"

#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace sluice::fetcher {

struct MirrorOptions {
    /// Between rounds, when every repository has failed in a way that may pass.
    BackoffPolicy rounds{.longest = milliseconds{2000}, .tries = std::numeric_limits<unsigned>::max()};
    milliseconds least_share{3000};                     ///< of the time that is left, for one of several
    std::function<TimePoint()> now = &SteadyClock::now; ///< for health and blame; another one for tests
};

/// The same blob in several repositories: asks the one that is most likely to answer, goes on with the next behind what
/// has come already, and round again until the deadline while there is hope. Who failed lately is asked last; with n of
/// them left none gets more than its share of the time. On the loop's thread; must outlive its tasks, and what `route`
/// names must outlive it.
class MirrorSet {
public:
    MirrorSet(EventLoop& loop, BlobRoute route, MirrorOptions options = {});

    /// As BlobSource::fetch(), from whichever of `repositories` (in order of preference) has it. Errors: of a single
    /// repository its own; kCorrupt at once when each of several repositories has been blamed twice for all of `range`
    /// within a second; kNotFound (kDenied) when all say so; kTimeout at the deadline, with what the last one said.
    /// Of the terms' note only `retry_after` is filled in, on failure: the least that was wished for in the last round.
    [[nodiscard]] Task<Result<void>> fetch(
        std::vector<std::string> repositories,
        Digest digest,
        std::uint64_t size,
        ByteRange range,
        ChunkSink& sink,
        FetchTerms terms
    );

    /// `repository` has sent bytes of `range` (best: just the blocks) that do not match the signed tree. It is asked
    /// last for this blob for the next minute. The sink learns from on_source() whose chunks it gets.
    void blame(const std::string& repository, const Digest& digest, ByteRange range);

private:
    struct Job;
    class Relay;

    [[nodiscard]] Task<Result<void>> rotate(Job& job, Relay& relay);
    [[nodiscard]] Task<Result<void>> ask(std::string repository, Job& job, Relay& relay, std::size_t left);
    void drop_convicted(Job& job, ByteRange rest) const;
    [[nodiscard]] std::vector<std::string> in_order(const Job& job) const;
    void judge(const std::string& repository, Job& job, const Result<void>& outcome, const FetchNote& note);
    [[nodiscard]] Result<void> verdict(const Job& job) const;

    EventLoop& loop_;
    BlobRoute route_;
    MirrorOptions options_;
    SourceHealth health_;
    SourceBlames blames_;
    std::mt19937 random_{std::random_device{}()};
};

} // namespace sluice::fetcher
