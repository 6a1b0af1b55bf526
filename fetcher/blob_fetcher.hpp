// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fetcher/blob_source.hpp"
#include "fetcher/buffer_gate.hpp"
#include "fetcher/host_slots.hpp"
#include "fetcher/patience.hpp"
#include "fetcher/range_request.hpp"
#include "fetcher/redirects.hpp"
#include "fetcher/registry_session.hpp"

#include <map>
#include <string>

namespace sluice::fetcher {

/// Ranges of blobs out of registries and the storage behind them. Loop's thread; must outlive its
/// tasks.
class BlobFetcher {
public:
    BlobFetcher(RegistrySession& session, BufferGate& buffers);

    /// As BlobSource::fetch().
    [[nodiscard]] Task<Result<void>> fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms);

private:
    /// One blob's fetch, as its attempts see it.
    struct Job {
        Repository repository;
        BlobLocation blob;
        std::string registry_url; ///< of the blob
        ByteRange range;
        FetchTerms terms;
    };

    /// How it goes; outlives the attempts.
    struct Course {
        explicit Course(const FetchTerms& terms) : patience{terms} {}

        Patience patience;
        RangeProgress progress;
        std::string last_failure; ///< what the latest attempt died of; empty: none has
    };

    [[nodiscard]] Task<Result<void>> try_until(Job job, ChunkSink& sink, Course& course);
    [[nodiscard]] Task<Result<RangeReply>> one_try(Job& job, ChunkSink& sink, Course& course);
    [[nodiscard]] Task<Result<RangeReply>> attempt(Job& job, ChunkSink& sink, RangeProgress& progress);
    [[nodiscard]] Task<Result<RangeReply>> request(
        Job& job,
        std::string url,
        std::string authorization,
        std::optional<Network> sent_by,
        ChunkSink& sink,
        RangeProgress& progress
    );
    [[nodiscard]] bool ignores_ranges(const Job& job) const;

    RegistrySession& session_;
    BufferGate& buffers_;
    HostSlots slots_;
    RedirectCache redirects_;
    std::map<std::string, TimePoint> no_ranges_; ///< registries that ignored Range lately, until when we believe it
};

} // namespace sluice::fetcher
