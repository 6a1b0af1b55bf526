// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_objects.hpp"

#include <cassert>
#include <cerrno>
#include <utility>

namespace sluice::protocol {

FuseObjects::FuseObjects(
    FuseReader reader,
    DeviceStats& stats,
    UniqueFunction<void(ObjectId)> dropped,
    std::function<void(std::uint64_t, ByteRange, FuseRequest)> ask_again
)
    : reader_{reader}, stats_{stats}, dropped_{std::move(dropped)}, ask_again_{std::move(ask_again)}
{}

FuseObjects::Object* FuseObjects::find(std::uint64_t inode)
{
    const auto id = by_inode_.find(inode);
    return id == by_inode_.end() ? nullptr : &objects_.at(id->second);
}

bool FuseObjects::join(std::uint64_t inode, FuseRequest& request)
{
    auto* object = find(inode);
    if (object == nullptr) {
        return false;
    }
    if (!object->open) {
        object->opening.push_back(std::move(request));
    } else if (request.opened(inode)) {
        ++object->openers;
    }
    return true;
}

ObjectId FuseObjects::begin(std::uint64_t inode, std::uint64_t size, FuseRequest request)
{
    do {
        ++last_object_;
    } while (objects_.contains(ObjectId{last_object_}));
    const ObjectId id{last_object_};
    Object object;
    object.inode = inode;
    object.size = size;
    object.opening.push_back(std::move(request));
    objects_.emplace(id, std::move(object));
    by_inode_.insert_or_assign(inode, id);
    return id;
}

void FuseObjects::refuse(ObjectId id, int code)
{
    const auto found = objects_.find(id);
    if (found == objects_.end()) {
        return;
    }
    ++stats_.opens_rejected;
    by_inode_.erase(found->second.inode);
    for (auto& request : found->second.opening) {
        request.error(code);
    }
    objects_.erase(found);
}

void FuseObjects::set_file(ObjectId id, std::shared_ptr<FileHandle> file)
{
    objects_.at(id).file = std::move(file);
}

void FuseObjects::answer_open(ObjectId id, MessageId, Result<std::uint64_t> size)
{
    if (!size) {
        refuse(id, size.error().code() == 0 ? EIO : size.error().code());
        return;
    }
    const auto found = objects_.find(id);
    if (found == objects_.end()) {
        return;
    }
    auto& object = found->second;
    assert(*size == object.size && object.file);
    ++stats_.opens_accepted;
    object.open = true;
    for (auto& request : std::exchange(object.opening, {})) {
        if (request.opened(object.inode)) {
            ++object.openers;
        } else {
            ++stats_.open_answers_failed; // the opener was killed meanwhile, and nothing will be released
        }
    }
    if (object.openers == 0) {
        by_inode_.erase(object.inode);
        objects_.erase(found);
        dropped_(id);
    }
}

std::optional<std::pair<ObjectId, MessageId>>
FuseObjects::add_read(std::uint64_t inode, ByteRange range, FuseRequest request)
{
    const auto* object = find(inode);
    if (object == nullptr || !object->open) {
        ++stats_.unknown_objects;
        request.error(EIO);
        return std::nullopt;
    }
    range = range.intersect({0, object->size});
    if (range.empty()) {
        request.data({});
        return std::nullopt;
    }
    do {
        ++last_message_;
    } while (reads_.contains(MessageId{last_message_}));
    const MessageId message{last_message_};
    const auto id = by_inode_.at(inode);
    reads_.emplace(message, Read{id, range, std::move(request)});
    return std::pair{id, message};
}

void FuseObjects::taken_up(MessageId message)
{
    if (const auto read = reads_.find(message); read != reads_.end()) {
        read->second.taken_up = true;
    }
}

void FuseObjects::answer_read(ObjectId id, MessageId message)
{
    auto read = reads_.extract(message);
    if (read.empty()) {
        return;
    }
    ++stats_.reads_answered;
    const auto object = objects_.find(id);
    if (object == objects_.end()) {
        return; // ~FuseRequest answers
    }
    const auto range = read.mapped().range;
    FuseReader::OnHole on_hole; // none: what is still missing could not be had
    if (!read.mapped().taken_up) {
        on_hole = [again = ask_again_, inode = object->second.inode, range](FuseRequest request) {
            again(inode, range, std::move(request));
        };
    }
    reader_.answer(std::move(read.mapped().request), object->second.file, range, std::move(on_hole));
}

std::optional<ObjectId> FuseObjects::release(std::uint64_t inode)
{
    auto* object = find(inode);
    if (object == nullptr || !object->open || --object->openers > 0) {
        return std::nullopt;
    }
    const auto id = by_inode_.at(inode);
    by_inode_.erase(inode);
    objects_.erase(id);
    return id;
}

} // namespace sluice::protocol
