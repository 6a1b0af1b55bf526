// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_objects.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <iterator>
#include <limits>
#include <utility>

namespace sluice::protocol {

namespace {

/// What a READ has at least that is due already when it is taken over.
constexpr milliseconds kLeastPatience{1000};

/// The object of a handle; 0, which no object has, where the handle is none of ours.
ObjectId object_of(std::uint64_t handle) noexcept
{
    return ObjectId{handle <= std::numeric_limits<std::uint32_t>::max() ? static_cast<std::uint32_t>(handle) : 0U};
}

} // namespace

FuseObjects::FuseObjects(Parts parts)
    : parts_{std::move(parts)}, late_{parts_.loop, [this] { answer_late_reads(); }, HandlerName{"fuse late reads"}}
{}

void FuseObjects::reopen()
{
    for (const auto& [handle, node] : state().openings()) {
        begin(handle, node, {}, {});
    }
}

void FuseObjects::open(FuseRequest opener, std::uint64_t node)
{
    auto handle = opener.noted_handle();
    if (handle != 0 && state().node_of(handle)) {
        opener.opened(handle); // a predecessor was about to say so, or has said it
        return;
    }
    if (handle == 0 || opening_.contains(object_of(handle))) {
        const auto fresh = state().take_handle();
        if (!fresh) {
            opener.error(ENFILE);
            return;
        }
        handle = *fresh;
        opener.note_handle(handle);
    }
    ++stats_.opens;
    begin(handle, node, std::move(opener), {});
}

void FuseObjects::refuse(FuseRequest opener, int code)
{
    const auto handle = opener.noted_handle();
    if (opener.error(code)) {
        close(handle); // a predecessor has recorded it at most, and told nobody
    }
}

void FuseObjects::begin(std::uint64_t handle, std::uint64_t node, FuseRequest opener, std::vector<Asked> reads)
{
    const auto object = object_of(handle);
    opening_.emplace(object, Opening{node, std::move(opener), std::move(reads)});
    std::string name{state().name_of(node)};
    PendingOpen pending{weak_from_this(), object, MessageId{0}};
    parts_.handler.on_open(OpenRequest{object, parts_.volume, std::move(name), nullptr, std::move(pending)});
}

void FuseObjects::answer_open(ObjectId id, MessageId, Result<OpenedBlob> outcome)
{
    auto found = opening_.extract(id);
    if (found.empty()) {
        return; // released meanwhile
    }
    auto& opening = found.mapped();
    if (!outcome) {
        ++stats_.opens_rejected;
        const auto code = errno_of(outcome.error());
        opening.opener.error(code);
        for (auto& read : opening.reads) {
            read.request.error(code);
        }
        return;
    }
    assert(outcome->file);
    if (opening.opener && !tell_opener(id, opening)) {
        ++stats_.open_answers_failed;
        close_later(id);
        return;
    }
    ++stats_.opens_accepted;
    open_.emplace(id, std::move(*outcome));
    for (auto& read : opening.reads) {
        ask_later(parts_.loop, weak_from_this(), id, std::move(read), false); // the core is answering: not now
    }
}

bool FuseObjects::tell_opener(ObjectId id, Opening& opening)
{
    if (!state().add_opening({id.value, opening.node})) {
        if (!std::exchange(has_told_full_, true)) {
            log::warning(
                "fuse: {} files are open, and no more can be until one of them is closed; unmount images that nobody "
                "uses",
                FuseStateLayout::kOpenings
            );
        }
        opening.opener.error(ENFILE);
        return false;
    }
    if (!opening.opener.opened(id.value)) {
        state().remove_opening(id.value);
        return false;
    }
    return true;
}

void FuseObjects::read(FuseRequest request, std::uint64_t handle, std::uint64_t offset, std::size_t size)
{
    ++stats_.reads;
    const auto range = ByteRange::from_length(offset, size);
    if (!range || size > kFuseReadMax) {
        ++stats_.malformed;
        request.error(EINVAL);
        return;
    }
    const auto id = object_of(handle);
    if (open_.contains(id)) {
        ask(id, *range, std::move(request), false);
        return;
    }
    if (const auto opening = opening_.find(id); opening != opening_.end()) {
        opening->second.reads.push_back(waiting(*range, std::move(request)));
        return;
    }
    const auto node = state().node_of(handle);
    if (!node) {
        ++stats_.unknown_objects;
        request.error(EIO);
        return;
    }
    // A predecessor's, which could not be opened anew yet.
    std::vector<Asked> reads;
    reads.push_back(waiting(*range, std::move(request)));
    begin(handle, *node, {}, std::move(reads));
}

FuseObjects::Asked FuseObjects::waiting(ByteRange range, FuseRequest request)
{
    const auto least = std::min(kLeastPatience, parts_.read_deadline);
    const auto due = std::max(request.arrival() + parts_.read_deadline, SteadyClock::now() + least);
    if (due < next_due_) {
        next_due_ = due;
        late_.arm_at(due);
    }
    return {range, std::move(request), due};
}

void FuseObjects::answer_late_reads()
{
    const auto now = SteadyClock::now();
    std::vector<Asked> late;
    next_due_ = TimePoint::max();
    for (auto& [id, opening] : opening_) {
        auto& reads = opening.reads;
        const auto from = std::partition(reads.begin(), reads.end(), [now](const Asked& one) { return one.due > now; });
        late.insert(late.end(), std::make_move_iterator(from), std::make_move_iterator(reads.end()));
        reads.erase(from, reads.end());
        for (const auto& one : reads) {
            next_due_ = std::min(next_due_, one.due);
        }
    }
    if (next_due_ != TimePoint::max()) {
        late_.arm_at(next_due_);
    }
    for (auto& one : late) { // an answer may let the next request in
        one.request.error(ETIMEDOUT);
    }
}

void FuseObjects::ask(ObjectId id, ByteRange range, FuseRequest request, bool has_looked)
{
    const auto object = open_.find(id);
    if (object == open_.end()) {
        ++stats_.unknown_objects;
        request.error(EIO);
        return;
    }
    range = range.intersect({0, object->second.size});
    if (range.empty()) {
        request.data({});
        return;
    }
    do {
        ++last_message_;
    } while (reads_.contains(MessageId{last_message_}));
    const MessageId message{last_message_};
    const auto arrival = request.arrival();
    reads_.emplace(message, Read{range, std::move(request), has_looked});
    PendingRead pending{weak_from_this(), id, message};
    parts_.handler.on_read(ReadRequest{id, range, std::move(pending), has_looked, arrival});
}

void FuseObjects::ask_later(EventLoop& loop, std::weak_ptr<FuseObjects> weak, ObjectId id, Asked asked, bool has_looked)
{
    loop.post([objects = std::move(weak), id, waiting = std::move(asked), has_looked]() mutable {
        if (const auto self = objects.lock()) {
            self->ask(id, waiting.range, std::move(waiting.request), has_looked);
        }
    });
}

void FuseObjects::close_later(ObjectId id)
{
    parts_.loop.defer([weak = weak_from_this(), id] {
        if (const auto self = weak.lock()) {
            self->parts_.handler.on_close(id);
        }
    });
}

void FuseObjects::answer_read(ObjectId id, MessageId message, Result<void> outcome)
{
    auto read = reads_.extract(message);
    if (read.empty()) {
        return;
    }
    ++stats_.reads_answered;
    auto& [range, request, has_looked] = read.mapped();
    if (!outcome) {
        request.error(errno_of(outcome.error()));
        return;
    }
    const auto object = open_.find(id);
    if (object == open_.end()) {
        return; // ~FuseRequest answers
    }
    FuseReader::OnHole on_hole;
    if (!has_looked) {
        on_hole = [&loop = parts_.loop, weak = weak_from_this(), id, asked = range](FuseRequest again) {
            ask_later(loop, weak, id, {asked, std::move(again)}, true);
        };
    }
    parts_.reader.answer(std::move(request), object->second.file, range, std::move(on_hole));
}

void FuseObjects::release(FuseRequest request, std::uint64_t handle)
{
    close(handle);
    request.error(0);
}

void FuseObjects::close(std::uint64_t handle)
{
    if (state().remove_opening(handle)) {
        const auto id = object_of(handle);
        ++stats_.closes;
        opening_.erase(id);
        open_.erase(id);
        parts_.handler.on_close(id);
    }
}

void FuseObjects::lose(Error why)
{
    parts_.loop.defer([weak = weak_from_this(), reason = std::move(why)] {
        if (const auto self = weak.lock()) {
            self->parts_.handler.on_front_end_lost(reason);
        }
    });
}

FrontEndStats FuseObjects::stats() const
{
    auto stats = stats_;
    stats.open_objects = open_.size() + opening_.size();
    return stats;
}

} // namespace sluice::protocol
