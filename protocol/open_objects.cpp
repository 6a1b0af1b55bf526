// SPDX-License-Identifier: Apache-2.0
#include "protocol/open_objects.hpp"

#include "base/log.hpp"
#include "protocol/command.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <utility>

namespace sluice::protocol {

OpenObjects::OpenObjects(KernelIo& io, int device, FrontEndStats& stats, Events events)
    : io_{io}, device_{device}, stats_{stats}, events_{std::move(events)}
{}

bool OpenObjects::insert(ObjectId object, std::shared_ptr<ObjectFd> fd)
{
    const auto [at, fresh] = objects_.try_emplace(object, fd);
    if (!fresh) {
        std::exchange(at->second, std::move(fd))->close();
    }
    return fresh;
}

std::shared_ptr<ObjectFd> OpenObjects::remove(ObjectId object)
{
    auto node = objects_.extract(object);
    return node ? std::move(node.mapped()) : nullptr;
}

void OpenObjects::drop(ObjectId object)
{
    // The kernel leaves the descriptor of a failed OPEN with us, and the next mount of the blob waits until it is
    // closed.
    if (const auto fd = remove(object)) {
        fd->close();
    }
}

int OpenObjects::send(const std::string& command)
{
    const int code = -io_.write(device_, command);
    if (code == EIO) {
        events_.device_failed(code);
    }
    return code;
}

void OpenObjects::answer_open(ObjectId object, MessageId message, Result<OpenedBlob> outcome)
{
    const auto at = objects_.find(object);
    const bool known = at != objects_.end();
    const auto mounted = known && !outcome ? at->second->size_if_mounted() : 0;
    auto command = outcome       ? copen_command(message, outcome->size)
                   : mounted > 0 ? copen_command(message, mounted)
                                 : fail_errno(errno_of(outcome.error()), "refused");
    if (!known && command) {
        command = fail_errno(ESTALE, "closed before it was opened");
    }
    const bool accepted = command.has_value();
    const int code = send(accepted ? *command : copen_error_command(message, command.error().code()));
    if (code != 0) {
        ++stats_.open_answers_failed;
        events_.trouble(fmt::format("the kernel did not take the answer to OPEN {}: errno {}", message.value, code));
    } else {
        ++(accepted && outcome ? stats_.opens_accepted : stats_.opens_rejected);
    }
    if (accepted && code == 0) {
        if (!outcome) {
            log::warning(
                "object {} is mounted already: what of it is in the cache can still be read, and every other read "
                "fails with EIO, until sluiced is started again with its image registered",
                object.value
            );
        }
        return;
    }
    drop(object);
    if (known && outcome) {
        events_.dropped(object);
    }
}

void OpenObjects::refuse_open(MessageId message, int code)
{
    if (send(copen_error_command(message, code)) == 0) {
        ++stats_.opens_rejected;
    } else {
        ++stats_.open_answers_failed;
    }
}

void OpenObjects::answer_read(ObjectId object, MessageId message, Result<void>)
{
    const auto at = objects_.find(object);
    if (at == objects_.end()) {
        events_.answered(message);
        // Closed meanwhile: the kernel has failed the request itself, and its id may be another request's by now.
        ++stats_.reads_forgotten;
        return;
    }
    const int code = -at->second->complete(message);
    events_.answered(message);
    if (code == 0) {
        ++stats_.reads_answered;
        return;
    }
    ++stats_.reads_forgotten;
    if (code != EINVAL) { // EINVAL: the reader was killed, or the mount is gone
        events_.trouble(
            fmt::format("READ {} of object {} could not be answered: errno {}", message.value, object.value, code)
        );
    }
}

} // namespace sluice::protocol
