// SPDX-License-Identifier: Apache-2.0
//
// The fake kernel's commands, with the checks of the real one in the real one's order.
#include "base/byte_range.hpp"
#include "tests/support/fake_kernel_state.hpp"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::test {

namespace uapi = protocol::uapi;

namespace {

/// kstrtol with base 0: an optional minus sign, then nothing but digits; a leading zero means octal.
bool parse_long(const std::string& text, long& value)
{
    if (text.empty() || (text[0] != '-' && (text[0] < '0' || text[0] > '9'))) {
        return false;
    }
    char* end = nullptr;
    errno = 0;
    value = std::strtol(text.c_str(), &end, 0);
    return errno == 0 && *end == '\0';
}

bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

} // namespace

int FakeKernelState::write(int device, std::string_view command)
{
    const MutexLock lock{mutex};
    if (::fcntl(device, F_GETFD) < 0) {
        return -EBADF;
    }
    if (dead) {
        return -EIO;
    }
    if (command.size() > 4095) {
        return -EOPNOTSUPP;
    }
    if (command.find('\0') != std::string_view::npos || command.starts_with('\n')) {
        return -EINVAL;
    }
    const std::string text{command.substr(0, command.find('\n'))};
    if (options.keep_commands) {
        commands.push_back(text);
    }
    for (const auto& [prefix, code] : failing_commands) {
        if (text.starts_with(prefix)) {
            return -code;
        }
    }
    return run_command(text);
}

int FakeKernelState::run_command(const std::string& text)
{
    if (text.empty() || is_blank(text[0])) {
        return -EOPNOTSUPP;
    }
    std::size_t at = 0;
    while (at < text.size() && !is_blank(text[at])) {
        ++at;
    }
    const auto word = text.substr(0, at);
    while (at < text.size() && is_blank(text[at])) {
        ++at;
    }
    const auto argument = text.substr(at);
    const auto set_once = [&argument](std::string& target) {
        if (argument.empty()) {
            return -EINVAL;
        }
        if (!target.empty()) {
            return -EEXIST;
        }
        target = argument;
        return 0;
    };
    if (word == "dir") {
        return set_once(dir);
    }
    if (word == "tag") {
        return set_once(tag);
    }
    if (word == "secctx") {
        return set_once(secctx) == 0 ? 0 : -EINVAL;
    }
    if (word == "debug") {
        long mask = 0;
        return argument.empty() || parse_long(argument, mask) ? 0 : -EINVAL;
    }
    if (word == "bind") {
        return bind(argument);
    }
    if (word == "cull" || word == "inuse") {
        return bound ? cull(argument, word == "cull") : -EIO;
    }
    if (word == "copen") {
        return mode_ondemand ? copen(argument) : -EOPNOTSUPP;
    }
    if (word == "restore") {
        return mode_ondemand && options.restore ? restore() : -EOPNOTSUPP;
    }
    return set_limit(word, argument);
}

int FakeKernelState::set_limit(std::string_view word, std::string_view argument)
{
    constexpr std::array<std::string_view, 6> kWords{"brun", "bcull", "bstop", "frun", "fcull", "fstop"};
    for (std::size_t i = 0; i < kWords.size(); ++i) {
        if (word != kWords.at(i)) {
            continue;
        }
        if (argument.empty() || argument.back() != '%') {
            return -EINVAL;
        }
        long value = 0;
        if (!parse_long(std::string{argument.substr(0, argument.size() - 1)}, value)) {
            return -EINVAL;
        }
        const long above = i % 3 == 0 ? 100 : static_cast<long>(limits.at(i - 1));
        const long below = i % 3 == 2 ? -1 : static_cast<long>(limits.at(i + 1));
        if (value >= above || value <= below) {
            return -EINVAL;
        }
        limits.at(i) = static_cast<unsigned>(value);
        return 0;
    }
    return -EOPNOTSUPP;
}

int FakeKernelState::bind(std::string_view argument)
{
    if (dir.empty()) {
        return -EINVAL;
    }
    if (bound) {
        return -EBUSY;
    }
    if (!argument.empty() && (argument != "ondemand" || !options.ondemand)) {
        return -EINVAL;
    }
    mode_ondemand = argument == "ondemand";

    struct stat info {};

    if (::stat(dir.c_str(), &info) != 0) {
        return -errno;
    }
    if (!S_ISDIR(info.st_mode)) {
        return -ENOTDIR;
    }
    bound = true;
    return 0;
}

/// By the name in the calling thread's working directory, as the real one.
int FakeKernelState::cull(const std::string& name, bool remove)
{
    struct stat wanted {};

    if (name.empty() || name.find('/') != std::string::npos) {
        return -EINVAL;
    }
    if (::lstat(name.c_str(), &wanted) != 0) {
        return -errno;
    }
    for (const auto& object : objects) {
        struct stat used {};

        // While it opens an object, the kernel has its file already.
        if (object->state != FakeObjectState::kFailed && object->state != FakeObjectState::kClosed &&
            ::stat(object->file.c_str(), &used) == 0 && used.st_ino == wanted.st_ino && used.st_dev == wanted.st_dev) {
            return -EBUSY;
        }
    }
    return !remove || ::unlink(name.c_str()) == 0 ? 0 : -errno;
}

int FakeKernelState::copen(std::string_view arguments)
{
    const auto comma = arguments.find(',');
    long id = 0;
    if (comma == std::string_view::npos || !parse_long(std::string{arguments.substr(0, comma)}, id) || id < 0) {
        return -EINVAL;
    }
    const auto at = requests.find(static_cast<std::uint32_t>(id));
    if (at == requests.end() || at->second->opcode != uapi::kOpOpen || !at->second->delivered) {
        return -EINVAL;
    }
    const auto request = at->second;
    const auto object = request->object;
    refresh(object);
    long size = 0;
    const bool well_formed = parse_long(std::string{arguments.substr(comma + 1)}, size) && size >= -4095;
    const int error = !well_formed ? EINVAL : size < 0 ? static_cast<int>(-size) : object->fd < 0 ? EBADFD : 0;
    finish(request, error);
    if (error == 0) {
        opened(object, static_cast<std::uint64_t>(size));
    } else if (object->state == FakeObjectState::kOpening) {
        object->state = FakeObjectState::kFailed;
        object->error = error;
    } else if (object->state == FakeObjectState::kReopening && !object->withheld.empty()) {
        enqueue(uapi::kOpOpen, object); // its READs wait: the kernel asks again, for ever
    }
    changed.notify_all();
    return well_formed ? 0 : -EINVAL;
}

void FakeKernelState::opened(const FakeObjectPtr& object, std::uint64_t size)
{
    const auto rounded = static_cast<off_t>(ByteRange{0, size}.align_out(kBlockSize).size());

    struct stat info {};

    if (::fstat(object->own.get(), &info) == 0 && info.st_size != rounded) {
        // Another size means another blob: whatever the file holds is stale.
        (void)::truncate(object->file.c_str(), 0);
        (void)::truncate(object->file.c_str(), rounded);
    }
    object->size = size;
    object->error = 0;
    object->state = FakeObjectState::kOpen;
    for (const auto& request : object->withheld) {
        if (requests.contains(request->message)) {
            send(*request);
        }
    }
    object->withheld.clear();
}

int FakeKernelState::restore()
{
    for (const auto& [id, request] : std::unordered_map{requests}) {
        if (!request->delivered) {
            continue;
        }
        request->delivered = false;
        refresh(request->object);
        if (request->opcode == uapi::kOpRead && request->object->fd < 0) {
            request->object->withheld.push_back(request);
            if (request->object->state == FakeObjectState::kOpen) {
                request->object->state = FakeObjectState::kReopening;
                enqueue(uapi::kOpOpen, request->object);
            }
            continue;
        }
        send(*request);
    }
    return 0;
}

} // namespace sluice::test
