// SPDX-License-Identifier: Apache-2.0
#include "daemon/front_end/object_service.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <new>

namespace sluice::daemon {

namespace {

Result<std::shared_ptr<Blob>> use(Blobs& blobs, const BlobInfo& info)
{
    try {
        return blobs.use(info);
    } catch (const std::bad_alloc&) {
        return fail(ErrorKind::kNoSpace, "there is no memory to open it", ENOMEM);
    }
}

} // namespace

ObjectService::ObjectService(Parts parts) : parts_{std::move(parts)}, tasks_{parts_.services.loop} {}

void ObjectService::on_open(protocol::OpenRequest request)
{
    const auto* entry = parts_.catalogue.find_cookie(request.cookie);
    if (entry == nullptr) {
        ++parts_.services.counters.opens_rejected;
        log::warning(
            "refused to open \"{}\" of volume \"{}\": no registered image has such a blob; register it with "
            "\"sluicectl mount\"",
            printable(request.cookie),
            printable(request.volume)
        );
        request.pending.reject(Error{ErrorKind::kNotFound, "no registered image has such a blob", ENOENT});
        return;
    }
    auto blob = use(parts_.blobs, entry->info);
    if (!blob) {
        reject(std::move(request.pending), entry->info.digest, blob.error());
        return;
    }
    opening_.insert_or_assign(request.object, false);
    tasks_.spawn(open(std::move(*blob), entry->info.compressed, std::move(request)));
}

Task<void> ObjectService::open(std::shared_ptr<Blob> blob, bool compressed, protocol::OpenRequest request)
{
    const auto object = request.object;
    const auto front_end = parts_.capabilities();
    const auto& info = blob->info();
    protocol::OpenedBlob opened{info.erofs_size, info.digest, nullptr};
    if (!front_end.brings_handles) {
        auto file = co_await blob->open_file();
        if (!file) {
            opening_.erase(object);
            reject(std::move(request.pending), info.digest, file.error());
            co_return;
        }
        opened.file = std::move(*file);
    } else {
        auto allowed = co_await may_open(blob, front_end.needs_complete && compressed);
        if (!allowed) {
            opening_.erase(object);
            reject(std::move(request.pending), info.digest, allowed.error());
            co_return;
        }
    }
    const bool closed = opening_.extract(object).mapped();
    if (closed) {
        co_return; // ~PendingOpen answers
    }
    ++parts_.services.counters.opens;
    log::debug("{}: open blob {}", front_end.name, info.digest.hex());
    request.pending.accept(std::move(opened));
    // After the answer: the kernel takes nothing through the handle before.
    objects_.insert_or_assign(object, blob->open(front_end.name, std::move(request.handle)));
}

Task<Result<void>> ObjectService::may_open(std::shared_ptr<Blob> blob, bool must_be_complete)
{
    auto looked = co_await blob->look_at_file();
    if (!looked || !must_be_complete) {
        co_return looked;
    }
    // The kernel answers no questions about the handle before the OPEN is answered: the file itself is asked.
    const auto file = co_await blob->open_file();
    if (!file) {
        co_return fail(file.error());
    }
    const auto complete = co_await blob->is_complete();
    if (!complete) {
        co_return fail(complete.error());
    }
    if (!*complete) {
        co_return fail(
            ErrorKind::kUnsupported,
            "it is compressed and not all of it is here, which this kernel does not survive; \"sluicectl mount\" "
            "downloads all of it first",
            EAGAIN
        );
    }
    co_return Result<void>{};
}

void ObjectService::reject(protocol::PendingOpen pending, const Digest& digest, const Error& why)
{
    ++parts_.services.counters.opens_rejected;
    log::warning("refused to open blob {}: {}", digest.to_string(), why.text());
    pending.reject(why);
}

void ObjectService::on_read(protocol::ReadRequest request)
{
    const auto found = objects_.find(request.object);
    if (found == objects_.end()) {
        log::debug("a read of object {}, whose opening was refused", request.object.value);
        return; // ~PendingRead answers: EIO for the reader
    }
    found->second->read(request.range, request.found_hole, std::move(request.pending), request.arrival);
}

void ObjectService::on_close(ObjectId object)
{
    if (const auto opening = opening_.find(object); opening != opening_.end()) {
        opening->second = true;
    }
    const auto found = objects_.extract(object);
    if (found.empty()) {
        return;
    }
    ++parts_.services.counters.closes;
    const auto& blob = found.mapped()->blob();
    log::debug("close blob {}", blob.info().digest.hex());
    if (auto* entry = parts_.catalogue.find(blob.identity()); entry != nullptr) {
        entry->last_error = blob.filler().last_error();
    }
}

void ObjectService::on_front_end_lost(const Error& why)
{
    parts_.lost(why);
}

} // namespace sluice::daemon
