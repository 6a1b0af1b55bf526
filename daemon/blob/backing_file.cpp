// SPDX-License-Identifier: Apache-2.0
#include "daemon/blob/backing_file.hpp"

#include <algorithm>
#include <cerrno>

namespace sluice::daemon {

namespace {

Failure no_handle()
{
    return fail(ErrorKind::kCancelled, "the blob is not open any more", ESTALE);
}

/// `first` and `second` joined; both sorted.
std::vector<ByteRange> unite(const std::vector<ByteRange>& first, const std::vector<ByteRange>& second)
{
    RangeSet all;
    for (const auto& range : first) {
        all.add(range);
    }
    for (const auto& range : second) {
        all.add(range);
    }
    return all.ranges();
}

bool is_closed(const Error& error) noexcept
{
    return error.kind() == ErrorKind::kCancelled;
}

} // namespace

void BackingFile::attach(std::shared_ptr<protocol::ObjectHandle> handle)
{
    const MutexLock lock{mutex_};
    handles_.push_back(std::move(handle));
    ++generation_;
}

void BackingFile::detach(const protocol::ObjectHandle& handle)
{
    std::shared_ptr<protocol::ObjectHandle> last; // may close a descriptor: behind the lock
    const MutexLock lock{mutex_};
    const auto at = std::ranges::find(handles_, &handle, &std::shared_ptr<protocol::ObjectHandle>::get);
    if (at != handles_.end()) {
        last = std::move(*at);
        handles_.erase(at);
    }
}

BackingFile::Handles BackingFile::handles() const
{
    const MutexLock lock{mutex_};
    return handles_;
}

std::uint64_t BackingFile::generation() const
{
    const MutexLock lock{mutex_};
    return generation_;
}

Result<void> BackingFile::write(std::uint64_t offset, std::span<const std::byte> data)
{
    if (space_) {
        if (auto room = space_->admit(data.size()); !room) {
            return room;
        }
    }
    const ByteRange range{offset, offset + data.size()};
    Result<void> outcome = no_handle();
    bool is_in_one = false;
    for (const auto& handle : handles()) {
        if (is_in_one) { // most likely by this very file
            const auto lacks = handle->missing(range);
            if (lacks && lacks->empty()) {
                continue;
            }
        }
        auto written = handle->write(offset, data);
        if (written) {
            is_in_one = true;
        } else if (!is_closed(written.error())) {
            if (space_) {
                space_->note_failed_write();
            }
            return written;
        } else if (!is_in_one) {
            outcome = std::move(written);
        }
    }
    return is_in_one ? Result<void>{} : outcome;
}

Result<std::vector<ByteRange>> BackingFile::missing(ByteRange range) const
{
    Result<std::vector<ByteRange>> all = no_handle();
    for (const auto& handle : handles()) {
        auto found = handle->missing(range);
        if (!found && !is_closed(found.error())) {
            return found;
        }
        if (found) {
            all = all ? unite(*all, *found) : std::move(*found);
        }
    }
    return all;
}

} // namespace sluice::daemon
