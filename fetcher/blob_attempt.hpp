// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fetcher/blob_source.hpp"
#include "fetcher/buffer_gate.hpp"
#include "fetcher/range_habits.hpp"
#include "fetcher/range_request.hpp"
#include "fetcher/redirects.hpp"
#include "fetcher/registry_session.hpp"
#include "fetcher/url.hpp"

#include <optional>
#include <string>

namespace sluice::fetcher {

/// One blob's fetch, as its attempts see it.
struct BlobJob {
    Repository repository;
    BlobLocation blob;
    std::string registry_url; ///< of the blob
    ByteRange range;          ///< what is missing
    FetchTerms terms;
};

/// What attempts work with and learn from each other.
struct AttemptTools {
    RegistrySession& session;
    BufferGate& buffers;
    RedirectCache& redirects;
    RangeHabits& habits;
};

/// Whether the answer brought bytes.
[[nodiscard]] bool is_delivery(const RangeReply& reply) noexcept;

/// One attempt to fetch a range: as many requests as redirects, challenges and addresses that have grown old ask for.
/// Lives as long as the task of run(). Loop's thread.
class BlobAttempt {
public:
    BlobAttempt(AttemptTools tools, const BlobJob& job, ChunkSink& sink, RangeProgress& progress);

    /// The last answer, be it a delivery or a refusal; an error when there was none.
    [[nodiscard]] Task<Result<RangeReply>> run();

private:
    [[nodiscard]] Result<void> begin();
    [[nodiscard]] Task<Result<RangeReply>> send();
    [[nodiscard]] Task<Result<RangeReply>> request(std::string authorization);
    [[nodiscard]] Error failed(const Error& error);

    // What to do about an answer: true where another request has become worth while.
    [[nodiscard]] Task<Result<bool>> goes_on(RangeReply& reply);
    [[nodiscard]] Result<bool> follow(const RangeReply& reply);
    [[nodiscard]] Task<Result<bool>> answer(RangeReply& reply);
    [[nodiscard]] bool doubt_token(const RangeReply& reply);
    [[nodiscard]] bool ask_registry_again();

    AttemptTools tools_;
    const BlobJob& job_;
    ChunkSink& sink_;
    RangeProgress& progress_;
    AuthScope scope_;
    std::string key_; ///< of the blob, in the cache of redirects
    std::string url_; ///< to ask next
    Origin home_;
    Network home_network_ = Network::kPublic;
    std::string authorization_;
    TimePoint asked_;         ///< when the latest request was made
    bool at_registry_ = true; ///< of the latest request
    bool sent_token_ = false; ///< with it
    unsigned hops_ = 0;
    unsigned rounds_ = 0;
    bool remembered_ = false; ///< it began at a place that the registry once named
    bool resolved_again_ = false;
    bool doubted_ = false;
};

} // namespace sluice::fetcher
