// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_kernel.hpp"

#include "protocol/cookie_path.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/stat.h>

namespace sluice::test {

namespace uapi = protocol::uapi;

namespace {

template <typename T>
void append(std::vector<std::byte>& out, const T& value)
{
    const auto at = out.size();
    out.resize(at + sizeof value);
    std::memcpy(out.data() + at, &value, sizeof value);
}

void append(std::vector<std::byte>& out, const std::string& text)
{
    const auto at = out.size();
    out.resize(at + text.size());
    std::memcpy(out.data() + at, text.data(), text.size());
}

/// The message as it is known when it is queued; object id and descriptor are filled in when it is read.
std::vector<std::byte> encode(const FakeRequest& request)
{
    std::vector<std::byte> body;
    if (request.opcode == uapi::kOpOpen) {
        const auto& object = *request.object;
        const auto volume = object.volume + '\0';
        append(
            body,
            uapi::OpenBody{
                static_cast<std::uint32_t>(volume.size()), static_cast<std::uint32_t>(object.cookie.size()), 0, 0}
        );
        append(body, volume);
        append(body, object.cookie);
    } else if (request.opcode == uapi::kOpRead) {
        append(body, uapi::ReadBody{request.offset, request.length});
    }
    std::vector<std::byte> message;
    const auto size = static_cast<std::uint32_t>(sizeof(uapi::MessageHeader) + body.size());
    append(message, uapi::MessageHeader{request.message, request.opcode, size, uapi::kNoObject});
    message.insert(message.end(), body.begin(), body.end());
    return message;
}

} // namespace

FakeKernelState::FakeKernelState(std::filesystem::path where, FakeKernelOptions what)
    : directory{std::move(where)}, options{what}
{}

std::uint32_t FakeKernelState::next_message_id()
{
    if (options.reuse_ids) {
        next_message = 0;
    }
    while (requests.contains(next_message)) {
        ++next_message;
    }
    return next_message++;
}

FakeRequestPtr FakeKernelState::enqueue(std::uint32_t opcode, const FakeObjectPtr& object, ByteRange range)
{
    auto request = std::make_shared<FakeRequest>();
    request->message = next_message_id();
    request->opcode = opcode;
    request->object = object;
    request->offset = range.begin();
    request->length = range.size();
    if (dead) {
        request->result = EIO;
        return request;
    }
    requests.emplace(request->message, request);
    send(*request);
    return request;
}

void FakeKernelState::send(const FakeRequest& request)
{
    send_bytes(encode(request), Kind::kMessage);
}

void FakeKernelState::send_bytes(std::span<const std::byte> bytes, Kind kind)
{
    auto& message = backlog.emplace_back(bytes.begin(), bytes.end());
    message.push_back(static_cast<std::byte>(kind));
    flush_backlog();
}

void FakeKernelState::flush_backlog()
{
    while (kernel_end && !backlog.empty()) {
        const auto& message = backlog.front();
        const auto sent = ::send(kernel_end.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            return; // full: the next read of the device makes room
        }
        backlog.pop_front();
    }
}

void FakeKernelState::finish(const FakeRequestPtr& request, int result)
{
    requests.erase(request->message);
    request->result = result;
    request->result.notify_all();
}

void FakeKernelState::fail_all(const FakeObjectPtr& object, std::uint32_t opcode, int result)
{
    std::vector<FakeRequestPtr> doomed;
    for (const auto& [id, request] : requests) {
        if (request->opcode == opcode && (!object || request->object == object)) {
            doomed.push_back(request);
        }
    }
    for (const auto& request : doomed) {
        finish(request, result);
    }
    if (object) {
        object->withheld.clear();
    }
}

bool FakeKernelState::alive(const FakeObjectPtr& object) const
{
    const auto at = by_number.find(object->fd);
    if (object->fd < 0 || at == by_number.end() || at->second != object) {
        return false;
    }

    struct stat theirs {};

    struct stat ours {};

    // The daemon may have the file itself open under the old number, but never for writing alone, as ours is.
    return (::fcntl(object->fd, F_GETFL) & O_ACCMODE) == O_WRONLY && ::fstat(object->fd, &theirs) == 0 &&
           ::fstat(object->own.get(), &ours) == 0 && theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

void FakeKernelState::refresh(const FakeObjectPtr& object)
{
    if (object->fd >= 0 && !alive(object)) {
        if (by_number.contains(object->fd) && by_number.at(object->fd) == object) {
            by_number.erase(object->fd);
        }
        object->fd = -1;
        object->id = uapi::kNoObject;
    }
}

FakeObjectPtr FakeKernelState::by_fd(int fd) const
{
    const auto at = by_number.find(fd);
    return at != by_number.end() ? at->second : nullptr;
}

void FakeKernelState::die(int code)
{
    dead = true;
    fail_all(nullptr, uapi::kOpRead, code);
    for (auto& [id, request] : std::unordered_map{requests}) {
        if (request->opcode == uapi::kOpOpen) {
            request->object->state = FakeObjectState::kFailed;
            request->object->error = code;
        }
        finish(request, code);
    }
    changed.notify_all();
}

FakeKernel::FakeKernel(std::filesystem::path directory, FakeKernelOptions options)
    : state_{std::make_unique<FakeKernelState>(std::move(directory), options)}
{}

FakeKernel::~FakeKernel() = default;

protocol::KernelIo& FakeKernel::io() noexcept
{
    return *state_;
}

FakeObjectPtr FakeKernel::open_object(const std::string& volume, const std::string& cookie)
{
    return open_spoiled(volume, cookie, nullptr);
}

FakeObjectPtr FakeKernel::open_spoiled(
    const std::string& volume, const std::string& cookie, std::function<void(std::vector<std::byte>&)> spoil
)
{
    const MutexLock lock{state_->mutex};
    auto object = std::make_shared<FakeObject>();
    object->volume = volume;
    object->cookie = cookie;
    object->spoil = std::move(spoil);
    auto name = volume + '+' + cookie;
    std::ranges::replace_if(
        name, [](char c) { return c == '/' || c == '\0'; }, '_'
    );
    // As the kernel does: a file that lies ready is taken, else one is made.
    const auto ready = state_->directory / protocol::cookie_path(volume, cookie);
    object->file = std::filesystem::exists(ready) ? ready : state_->directory / name;
    state_->objects.push_back(object);
    state_->enqueue(uapi::kOpOpen, object);
    return object;
}

FakeObjectPtr FakeKernel::open_failing(const std::string& volume, const std::string& cookie, int code)
{
    const MutexLock lock{state_->mutex};
    auto object = std::make_shared<FakeObject>();
    object->volume = volume;
    object->cookie = cookie;
    object->read_failure = code;
    state_->enqueue(uapi::kOpOpen, object);
    return object;
}

int FakeKernel::wait_open(const FakeObjectPtr& object)
{
    const MutexLock lock{state_->mutex};
    while (object->state == FakeObjectState::kOpening) {
        state_->changed.wait(state_->mutex);
    }
    return object->error;
}

FakeRequestPtr FakeKernel::read(const FakeObjectPtr& object, ByteRange range)
{
    const MutexLock lock{state_->mutex};
    state_->refresh(object);
    const bool reopening = object->state == FakeObjectState::kReopening;
    if (object->fd >= 0 && !reopening) {
        return state_->enqueue(uapi::kOpRead, object, range);
    }
    auto request = std::make_shared<FakeRequest>();
    if (object->state != FakeObjectState::kOpen && !reopening) {
        request->result = EIO;
        return request;
    }
    request->message = state_->next_message_id();
    request->opcode = uapi::kOpRead;
    request->object = object;
    request->offset = range.begin();
    request->length = range.size();
    state_->requests.emplace(request->message, request);
    object->withheld.push_back(request);
    if (!reopening) {
        object->state = FakeObjectState::kReopening;
        state_->enqueue(uapi::kOpOpen, object);
    }
    return request;
}

int FakeKernel::wait(const FakeRequestPtr& request)
{
    request->result.wait(-1);
    return request->result;
}

int FakeKernel::read_blocking(const FakeObjectPtr& object, ByteRange range)
{
    for (auto at = range.begin(); at < range.end();) {
        const auto left = range.end() - at;
        auto run = protocol::probe_fd(object->own.get(), at, left);
        if (run.error == 0 && !run.present) {
            if (const int failed = wait(read(object, {at, at + run.length})); failed != 0) {
                return failed;
            }
            run = protocol::probe_fd(object->own.get(), at, left);
        }
        if (run.error != 0 || !run.present) {
            return EIO;
        }
        at += run.length;
    }
    return 0;
}

void FakeKernel::kill_reader(const FakeRequestPtr& request)
{
    const MutexLock lock{state_->mutex};
    state_->finish(request, EINTR);
}

void FakeKernel::close(const FakeObjectPtr& object)
{
    const MutexLock lock{state_->mutex};
    state_->refresh(object);
    if (object->state == FakeObjectState::kOpen && object->fd >= 0) {
        state_->enqueue(uapi::kOpClose, object);
        return;
    }
    object->state = FakeObjectState::kClosed;
    state_->changed.notify_all();
}

FakeObjectState FakeKernel::state(const FakeObjectPtr& object) const
{
    const MutexLock lock{state_->mutex};
    return object->state;
}

int FakeKernel::open_error(const FakeObjectPtr& object) const
{
    const MutexLock lock{state_->mutex};
    return object->error;
}

std::uint64_t FakeKernel::size(const FakeObjectPtr& object) const
{
    const MutexLock lock{state_->mutex};
    return object->size;
}

std::uint32_t FakeKernel::object_id(const FakeObjectPtr& object) const
{
    const MutexLock lock{state_->mutex};
    return object->id;
}

bool FakeKernel::descriptor_open(const FakeObjectPtr& object) const
{
    const MutexLock lock{state_->mutex};
    return state_->alive(object);
}

std::filesystem::path FakeKernel::backing_file(const FakeObjectPtr& object) const
{
    return object->file;
}

bool FakeKernel::done(const FakeRequestPtr& request) const noexcept
{
    return request->result != -1;
}

int FakeKernel::result(const FakeRequestPtr& request) const noexcept
{
    return request->result;
}

std::vector<std::string> FakeKernel::commands() const
{
    const MutexLock lock{state_->mutex};
    return state_->commands;
}

FakeKernelCounts FakeKernel::counts() const
{
    const MutexLock lock{state_->mutex};
    auto counts = state_->counts;
    counts.waiting = state_->requests.size();
    return counts;
}

bool FakeKernel::bound() const
{
    const MutexLock lock{state_->mutex};
    return state_->bound;
}

} // namespace sluice::test
