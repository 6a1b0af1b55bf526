// SPDX-License-Identifier: Apache-2.0
#include "fetcher/range_request.hpp"

#include "base/text.hpp"
#include "fetcher/content_range.hpp"
#include "fetcher/curl_setup.hpp"
#include "fetcher/url.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace sluice::fetcher {

namespace {

// libcurl allocates it anew for each transfer: no more than the answer needs.
constexpr std::uint64_t kReceiveBufferMin = 16 * 1024;
constexpr std::uint64_t kReceiveBufferMax = 512 * 1024;
constexpr std::size_t kMaxRefusal = 4096;

} // namespace

RangeRequest::RangeRequest(
    CurlEngine& engine,
    BufferGate& buffers,
    const HttpOptions& options,
    RangeParameters parameters,
    ChunkSink& sink,
    RangeProgress& progress
)
    : buffers_{buffers}
    , parameters_{std::move(parameters)}
    , sink_{sink}
    , progress_{progress}
    , stored_{parameters_.range.begin()}
    , buffer_waiter_{buffers, parameters_.urgency, [this](AlignedBuffer buffer) { on_buffer(std::move(buffer)); }}
    , guard_{options, parameters_.url, parameters_.sent_by}
    , transfer_{engine, *this}
{
    auto& easy = transfer_.easy();
    set_up_request(easy, options, parameters_.url, parameters_.headers, parameters_.deadline);
    if (progress_.patience->moves()) {
        easy.set(CURLOPT_TIMEOUT_MS, 0L);
    }
    easy.set(CURLOPT_RANGE, parameters_.range.to_string());
    const auto buffer = std::clamp(2 * parameters_.range.size(), kReceiveBufferMin, kReceiveBufferMax);
    easy.set(CURLOPT_BUFFERSIZE, static_cast<long>(buffer));
    guard_.install(easy);
    if (guard_.refused()) {
        outcome_ = fail(guard_.refusal(what()));
    } else if (const auto code = transfer_.start(); code != CURLE_OK) {
        outcome_ = fail(curl_error(code, what()));
    }
}

RangeRequest::~RangeRequest()
{
    if (destroyed_ != nullptr) {
        *destroyed_ = true;
    }
}

std::string RangeRequest::what() const
{
    return fmt::format("GET {} bytes {}", public_url(parameters_.url), parameters_.range.to_string());
}

void RangeRequest::on_header(std::string_view line) noexcept
{
    reply_.headers.add_line(line);
}

TransferHandler::Data RangeRequest::on_data(std::span<const std::byte> data) noexcept
{
    if (buffer_waiter_.waiting()) {
        paused_ = true;
        return Data::kPause;
    }
    if (body_ == Body::kUnknown) {
        judge();
    }
    if (failure_) {
        return Data::kAbort;
    }
    if (body_ == Body::kRefusal) {
        return take_refusal(data);
    }
    progress_.received += data.size();
    progress_.patience->came();
    const auto skipped = std::min<std::uint64_t>(skip_, data.size());
    skip_ -= skipped;
    data = data.subspan(static_cast<std::size_t>(skipped));
    const auto missing = parameters_.range.end() - stored_;
    const bool too_long = data.size() > missing;
    if (too_long) {
        data = data.first(static_cast<std::size_t>(missing));
    }
    store(data);
    // The rest is not ours, be it of a whole body or of one that is longer than its Content-Range. Aborting is how
    // libcurl is told to stop; it drops the connection then.
    const bool goes_on = body_ == Body::kWhole && stored_ < parameters_.total;
    return too_long || (have_all_ && goes_on) ? Data::kAbort : Data::kTaken;
}

void RangeRequest::judge()
{
    reply_.status = transfer_.easy().status();
    if (reply_.status == 206) {
        judge_range();
    } else if (reply_.status == 200) {
        judge_whole();
    } else {
        body_ = Body::kRefusal;
    }
}

void RangeRequest::judge_range()
{
    body_ = Body::kRange;
    const auto* field = reply_.headers.find("content-range");
    const auto given = field == nullptr ? std::nullopt : parse_content_range(*field);
    if (!given) {
        refuse(ErrorKind::kCorrupt, "a partial answer without a usable Content-Range");
    } else if (given->range != parameters_.range || given->total != parameters_.total) {
        refuse(
            ErrorKind::kCorrupt,
            fmt::format(
                "the server sent bytes {} of {}, the blob has {}",
                given->range.to_string(),
                given->total,
                parameters_.total
            )
        );
    }
}

void RangeRequest::judge_whole()
{
    body_ = Body::kWhole;
    skip_ = parameters_.range.begin();
    const auto* field = reply_.headers.find("content-length");
    const auto length = field == nullptr ? std::nullopt : parse_u64(*field);
    if (length && *length != parameters_.total) {
        refuse(
            ErrorKind::kCorrupt, fmt::format("the server has {} bytes, the blob has {}", *length, parameters_.total)
        );
    } else if (skip_ > parameters_.max_skip) {
        refuse(ErrorKind::kUnsupported, "the server ignores Range and would send the whole blob");
    }
}

void RangeRequest::refuse(ErrorKind kind, std::string why)
{
    failure_ = Error{kind, fmt::format("{}: {}", what(), why)};
}

TransferHandler::Data RangeRequest::take_refusal(std::span<const std::byte> data)
{
    const auto room = kMaxRefusal - reply_.body.size();
    reply_.body.append(as_text(data).substr(0, room));
    return data.size() > room ? Data::kAbort : Data::kTaken;
}

void RangeRequest::store(std::span<const std::byte> data)
{
    while (!data.empty()) {
        if (!current_) {
            auto buffer = buffers_.try_take(parameters_.urgency);
            if (!buffer) {
                overflow_.assign(data.begin(), data.end());
                buffer_waiter_.wait();
                hold_.emplace(*progress_.patience);
                return;
            }
            begin_chunk(std::move(*buffer));
        }
        const auto count = std::min(data.size(), current_capacity_ - current_->buffer.size());
        current_->buffer.append(data.first(count));
        data = data.subspan(count);
        stored_ += count;
        if (current_->buffer.size() == current_capacity_) {
            ready_.push_back(std::move(*current_));
            current_.reset();
        }
    }
    have_all_ = stored_ == parameters_.range.end();
}

void RangeRequest::begin_chunk(AlignedBuffer buffer)
{
    const std::uint64_t grain = buffers_.buffer_size();
    const auto boundary = (stored_ / grain + 1) * grain;
    current_capacity_ = static_cast<std::size_t>(std::min(boundary, parameters_.range.end()) - stored_);
    current_ = Chunk{stored_, std::move(buffer)};
}

void RangeRequest::on_buffer(AlignedBuffer buffer)
{
    hold_.reset();
    begin_chunk(std::move(buffer));
    const auto waiting = std::exchange(overflow_, {});
    store(waiting);
    if (!buffer_waiter_.waiting() && std::exchange(paused_, false)) {
        transfer_.resume();
    }
    on_turn(std::nullopt);
}

void RangeRequest::on_turn(std::optional<CURLcode> done)
{
    if (done) {
        done_ = done;
        if (body_ == Body::kUnknown && *done == CURLE_OK) {
            judge(); // an answer without a body
        }
    }
    if (done_ && !buffer_waiter_.waiting() && !outcome_) {
        save_whole_blocks();
    }
    if (!deliver() || !done_ || buffer_waiter_.waiting() || outcome_) {
        return;
    }
    outcome_ = conclude();
    if (waiter_) {
        std::exchange(waiter_, {}).resume(); // this object may be gone after it
    }
}

/// Of a transfer that broke off, what is of use to whoever goes on behind it.
void RangeRequest::save_whole_blocks()
{
    if (!current_ || failure_) {
        return;
    }
    const auto end = stored_ / kBlockSize * kBlockSize;
    auto chunk = std::move(*current_);
    current_.reset();
    if (end > chunk.offset) {
        chunk.buffer.set_size(static_cast<std::size_t>(end - chunk.offset));
        ready_.push_back(std::move(chunk));
    }
}

/// False when the sink has cancelled us.
bool RangeRequest::deliver()
{
    if (destroyed_ != nullptr) {
        return false; // the outer call goes on
    }
    bool destroyed = false;
    destroyed_ = &destroyed;
    for (std::size_t i = 0; i < ready_.size(); ++i) {
        auto chunk = std::move(ready_[i]);
        progress_.position = chunk.offset + chunk.buffer.size();
        sink_.on_chunk(chunk.offset, std::move(chunk.buffer));
        if (destroyed) {
            return false;
        }
    }
    ready_.clear();
    destroyed_ = nullptr;
    return true;
}

Result<RangeReply> RangeRequest::conclude()
{
    reply_.network = guard_.peer();
    if (*done_ != CURLE_OK && guard_.refused()) {
        return fail(guard_.refusal(what()));
    }
    if (failure_) {
        return fail(std::move(*failure_));
    }
    if (body_ == Body::kRefusal && (*done_ == CURLE_OK || *done_ == CURLE_WRITE_ERROR)) {
        return std::move(reply_);
    }
    if (have_all_) {
        return std::move(reply_);
    }
    if (*done_ == CURLE_OPERATION_TIMEDOUT && parameters_.deadline.passed()) {
        return fail(ErrorKind::kTimeout, fmt::format("{}: not all of it came in time", what()));
    }
    if (*done_ != CURLE_OK) {
        return fail(curl_error(transfer_.easy().meaning(*done_), what()));
    }
    return fail(
        ErrorKind::kTransient,
        fmt::format("{}: the body ended after {} bytes", what(), stored_ - parameters_.range.begin())
    );
}

} // namespace sluice::fetcher
