// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/byte_range.hpp"
#include "base/result.hpp"
#include "fetcher/address_guard.hpp"
#include "fetcher/blob_source.hpp"
#include "fetcher/buffer_gate.hpp"
#include "fetcher/curl_engine.hpp"
#include "fetcher/http_client.hpp"
#include "fetcher/patience.hpp"

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::fetcher {

struct RangeParameters {
    std::string url;
    std::vector<std::string> headers;
    ByteRange range;            ///< what is missing; not empty
    std::uint64_t total = 0;    ///< size of the blob
    std::uint64_t max_skip = 0; ///< of a body that ignores Range
    Urgency urgency = Urgency::kDemand;
    std::optional<Network> sent_by; ///< as in HttpRequest
    Deadline deadline;              ///< not looked at where the patience moves
};

/// How far a fetch has come; outlives the attempts that move it on.
struct RangeProgress {
    std::uint64_t position = 0;   ///< end of what the sink has been given
    std::uint64_t received = 0;   ///< bytes that came over the network, delivered or not
    Patience* patience = nullptr; ///< told of them
};

/// An answer: a status other than 206 and 200 means that nothing was delivered.
struct RangeReply {
    int status = 0;
    HttpHeaders headers;
    std::string body;                   ///< of a refusal, its beginning
    Network network = Network::kPublic; ///< where it came from
};

/// One GET of one range, streamed into the sink: `auto reply = co_await request;`. Errors:
/// kTransient when the body ended early or the connection failed, kCorrupt when the server answered
/// another range or size, kUnsupported when it ignores Range and the way to our bytes is too long. What came before a
/// connection failed is delivered, as far as it makes whole blocks.
/// Loop's thread; destroying it cancels.
class RangeRequest final : private TransferHandler {
public:
    RangeRequest(
        CurlEngine& engine,
        BufferGate& buffers,
        const HttpOptions& options,
        RangeParameters parameters,
        ChunkSink& sink,
        RangeProgress& progress
    );
    ~RangeRequest() override;

    [[nodiscard]] bool await_ready() const noexcept { return outcome_.has_value(); }

    void await_suspend(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }

    [[nodiscard]] Result<RangeReply> await_resume() { return std::move(*outcome_); }

private:
    struct Chunk {
        std::uint64_t offset;
        AlignedBuffer buffer;
    };

    enum class Body : std::uint8_t {
        kUnknown, ///< the headers have not been looked at
        kRange,   ///< 206, as asked for
        kWhole,   ///< 200: the blob from its start
        kRefusal, ///< any other status
    };

    void on_header(std::string_view line) noexcept override;
    Data on_data(std::span<const std::byte> data) noexcept override;
    void on_turn(std::optional<CURLcode> done) override;

    void judge();
    void judge_range();
    void judge_whole();
    void refuse(ErrorKind kind, std::string why);
    Data take_refusal(std::span<const std::byte> data);
    void store(std::span<const std::byte> data);
    void begin_chunk(AlignedBuffer buffer);
    void on_buffer(AlignedBuffer buffer);
    void save_whole_blocks();
    [[nodiscard]] bool deliver();
    [[nodiscard]] Result<RangeReply> conclude();
    [[nodiscard]] std::string what() const;

    BufferGate& buffers_;
    RangeParameters parameters_;
    ChunkSink& sink_;
    RangeProgress& progress_;
    RangeReply reply_;
    Body body_ = Body::kUnknown;
    std::uint64_t skip_ = 0;   ///< bytes of a whole body before ours
    std::uint64_t stored_ = 0; ///< offset in the blob behind the last byte that was stored
    std::optional<Chunk> current_;
    std::size_t current_capacity_ = 0;
    std::vector<Chunk> ready_;
    std::vector<std::byte> overflow_; ///< taken from libcurl, and waiting for a buffer
    bool paused_ = false;
    bool have_all_ = false;
    bool* destroyed_ = nullptr;
    std::optional<Error> failure_;
    std::optional<CURLcode> done_;
    std::optional<Result<RangeReply>> outcome_;
    std::coroutine_handle<> waiter_;
    BufferGate::Waiter buffer_waiter_;
    std::optional<Patience::Hold> hold_; ///< while it waits
    AddressGuard guard_;
    Transfer transfer_; // last: it calls back
};

} // namespace sluice::fetcher
