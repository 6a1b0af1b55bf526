// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_objects.hpp"

#include <cassert>
#include <cerrno>
#include <utility>

namespace sluice::protocol {

FuseObjects::FuseObjects(FuseReader reader, FrontEndStats& stats, Events events)
    : reader_{reader}, stats_{stats}, events_{std::move(events)}
{}

ObjectId FuseObjects::begin(FuseRequest opener)
{
    do {
        ++last_object_;
    } while (open_.contains(ObjectId{last_object_}) || opening_.contains(ObjectId{last_object_}));
    opening_.emplace(ObjectId{last_object_}, std::move(opener));
    return ObjectId{last_object_};
}

void FuseObjects::answer_open(ObjectId id, MessageId, Result<OpenedBlob> outcome)
{
    auto opener = opening_.extract(id);
    assert(!opener.empty());
    if (!outcome) {
        ++stats_.opens_rejected;
        opener.mapped().error(errno_of(outcome.error()));
        return;
    }
    ++stats_.opens_accepted;
    assert(outcome->file);
    if (opener.mapped().opened(id.value)) {
        open_.emplace(id, std::move(*outcome));
    } else {
        ++stats_.open_answers_failed; // the opener was killed meanwhile, and nothing will be released
        events_.dropped(id);
    }
}

std::optional<MessageId> FuseObjects::add_read(ObjectId id, ByteRange range, FuseRequest request, bool has_looked)
{
    const auto object = open_.find(id);
    if (object == open_.end()) {
        ++stats_.unknown_objects;
        request.error(EIO);
        return std::nullopt;
    }
    range = range.intersect({0, object->second.size});
    if (range.empty()) {
        request.data({});
        return std::nullopt;
    }
    do {
        ++last_message_;
    } while (reads_.contains(MessageId{last_message_}));
    const MessageId message{last_message_};
    reads_.emplace(message, Read{range, std::move(request), has_looked});
    return message;
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
        on_hole = [tell = events_.found_hole, id, asked = range](FuseRequest again) {
            tell(id, asked, std::move(again));
        };
    }
    reader_.answer(std::move(request), object->second.file, range, std::move(on_hole));
}

} // namespace sluice::protocol
