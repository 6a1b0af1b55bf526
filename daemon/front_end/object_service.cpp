// SPDX-License-Identifier: Apache-2.0
#include "daemon/front_end/object_service.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <cerrno>
#include <fmt/format.h>

namespace sluice::daemon {

ObjectService::ObjectService(
    FillServices& services,
    const FillPolicy& policy,
    Catalogue& catalogue,
    std::function<void(const Error&)> device_lost
)
    : services_{services}, policy_{policy}, catalogue_{catalogue}, device_lost_{std::move(device_lost)}
{}

void ObjectService::on_open(protocol::OpenRequest request)
{
    auto* entry = catalogue_.find_cookie(request.cookie);
    if (entry == nullptr) {
        ++services_.counters.opens_rejected;
        log::warning(
            "refused to open \"{}\" of volume \"{}\": no registered image has such a blob; register it with "
            "\"sluicectl mount\"",
            printable(request.cookie),
            printable(request.volume)
        );
        request.pending.reject(ENOENT);
        return;
    }
    ++services_.counters.opens;
    log::debug("open blob {}", request.cookie);
    auto filler = std::make_unique<BlobFiller>(services_, policy_, entry->tree, std::move(request.handle));
    request.pending.accept(entry->tree->blob().erofs_size);
    filler->warm_up();
    objects_.insert_or_assign(request.object, std::move(filler));
}

void ObjectService::on_read(protocol::ReadRequest request)
{
    const auto found = objects_.find(request.object);
    if (found == objects_.end()) {
        log::warning("a read of object {}, which is not open", request.object.value);
        return; // ~PendingRead answers
    }
    found->second->read(request.range, std::move(request.pending), request.found_hole);
}

void ObjectService::on_close(ObjectId object)
{
    const auto found = objects_.find(object);
    if (found == objects_.end()) {
        return;
    }
    ++services_.counters.closes;
    log::debug("close blob {}", found->second->blob().digest.hex());
    if (auto* entry = catalogue_.find(found->second->blob().digest); entry != nullptr) {
        entry->last_error = found->second->last_error();
    }
    objects_.erase(found);
}

void ObjectService::on_device_lost(const Error& why)
{
    device_lost_(why);
}

const BlobFiller* ObjectService::find(const Digest& digest) const
{
    for (const auto& [id, filler] : objects_) {
        if (filler->blob().digest == digest) {
            return filler.get();
        }
    }
    return nullptr;
}

std::size_t ObjectService::reads_waiting() const
{
    std::size_t total = 0;
    for (const auto& [id, filler] : objects_) {
        total += filler->reads_waiting();
    }
    return total;
}

std::uint64_t ObjectService::bytes_in_flight() const
{
    std::uint64_t total = 0;
    for (const auto& [id, filler] : objects_) {
        total += filler->bytes_in_flight();
    }
    return total;
}

} // namespace sluice::daemon
