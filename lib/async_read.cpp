// SPDX-License-Identifier: Apache-2.0
#include "lib/async_read.hpp"

#include "lib/client.hpp"

#include <algorithm>
#include <cerrno>

namespace sluice::lib {

namespace {

constexpr std::uint64_t kMostAtOnce = std::uint64_t{1} << 20; // so that one long read does not keep others waiting
constexpr std::uint64_t kGrain = 4096;

} // namespace

AsyncRead::AsyncRead(std::shared_ptr<Blob> blob, std::span<std::byte> out, std::uint64_t offset, TimePoint deadline)
    : blob_{std::move(blob)}, offset_{offset}, deadline_{deadline}
{
    const auto room = offset < blob_->size() ? blob_->size() - offset : 0;
    out_ = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), room)));
}

AsyncRead::Step AsyncRead::step(std::uint64_t max_fill)
{
    if (error_ != 0 || out_.empty()) {
        return {};
    }
    const auto file = blob_->file();
    const auto run = file->probe(offset_);
    if (run.data) {
        just_filled_ = false;
        filled_file_.reset();
        const auto length = static_cast<std::size_t>(std::min({run.length, std::uint64_t{out_.size()}, kMostAtOnce}));
        error_ = file->read(offset_, out_.first(length));
        if (error_ != 0) {
            return {};
        }
        out_ = out_.subspan(length);
        offset_ += length;
        done_ += static_cast<std::int64_t>(length);
        return {out_.empty() ? Step::What::kDone : Step::What::kAgain, 0, 0};
    }
    // A hole that is still there after the daemon has said that it is filled; in the same file, that is.
    if (run.length == 0 || (just_filled_ && file == filled_file_)) {
        stop(-EIO);
        return {};
    }
    filled_file_ = file;
    const auto begin = offset_ & ~(kGrain - 1);
    const auto end = (offset_ + std::min<std::uint64_t>(run.length, out_.size()) + kGrain - 1) & ~(kGrain - 1);
    return {Step::What::kFill, begin, std::min(end - begin, max_fill)};
}

void AsyncRead::filled(int status)
{
    just_filled_ = true;
    if (status != 0) {
        stop(status);
    }
}

void AsyncRead::stop(int status) noexcept
{
    error_ = error_ != 0 ? error_ : status;
}

} // namespace sluice::lib
