// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fetcher/blob_attempt.hpp"
#include "fetcher/blob_source.hpp"
#include "fetcher/buffer_gate.hpp"
#include "fetcher/host_slots.hpp"
#include "fetcher/patience.hpp"
#include "fetcher/range_habits.hpp"
#include "fetcher/redirects.hpp"
#include "fetcher/registry_session.hpp"

#include <string>

namespace sluice::fetcher {

/// Ranges of blobs out of registries and the storage behind them. Loop's thread; must outlive its
/// tasks.
class BlobFetcher final : public BlobSource {
public:
    BlobFetcher(RegistrySession& session, BufferGate& buffers);

    [[nodiscard]] Task<Result<void>>
    fetch(BlobLocation blob, ByteRange range, ChunkSink& sink, FetchTerms terms) override;

private:
    /// How a fetch goes; outlives the attempts.
    struct Course {
        explicit Course(const FetchTerms& terms) : patience{terms} {}

        Patience patience;
        RangeProgress progress;
        std::string last_failure; ///< what the latest attempt died of; empty: none has
    };

    [[nodiscard]] Task<Result<void>> try_until(BlobJob job, ChunkSink& sink, Course& course);
    [[nodiscard]] Task<Result<RangeReply>> one_try(BlobJob& job, ChunkSink& sink, Course& course);

    RegistrySession& session_;
    BufferGate& buffers_;
    HostSlots slots_;
    RedirectCache redirects_;
    RangeHabits habits_;
};

} // namespace sluice::fetcher
