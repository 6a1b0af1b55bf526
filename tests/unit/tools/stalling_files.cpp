// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/tools/stalling_files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::test {

namespace {

constexpr std::uint64_t kFile = 2; // FUSE_ROOT_ID is 1
constexpr std::size_t kLargest = std::size_t{1} << 20;

[[noreturn]] void fail_with_errno(const std::string& what)
{
    throw std::system_error{errno, std::generic_category(), what};
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value)
{
    return std::as_bytes(std::span{&value, 1});
}

template <typename T>
T body_as(std::span<const std::byte> body)
{
    T value{};
    std::memcpy(&value, body.data(), std::min(body.size(), sizeof value));
    return value;
}

} // namespace

struct StallingFiles::Request {
    fuse_in_header head;
    std::span<const std::byte> body;
};

StallingFiles::StallingFiles(std::string dir, std::string content)
    : dir_{std::move(dir)}
    , content_{std::move(content)}
    , stop_{kAdoptFd, ::eventfd(0, EFD_CLOEXEC)}
    , fuse_{kAdoptFd, ::open("/dev/fuse", O_RDWR | O_CLOEXEC)}
{
    if (!stop_ || !fuse_) {
        fail_with_errno("/dev/fuse");
    }
    const auto options = fmt::format("fd={},rootmode=40000,user_id=0,group_id=0", fuse_.get());
    if (::mount("stalling", dir_.c_str(), "fuse", 0, options.c_str()) != 0) {
        fail_with_errno("mounting FUSE at " + dir_);
    }
    thread_ = std::thread{[this] { serve(); }};
}

StallingFiles::~StallingFiles()
{
    stall();
    fuse_.reset(); // who waits gets an error
    (void)::umount2(dir_.c_str(), MNT_DETACH);
}

void StallingFiles::stall()
{
    if (thread_.joinable()) {
        (void)::eventfd_write(stop_.get(), 1);
        thread_.join();
    }
}

void StallingFiles::serve()
{
    for (;;) {
        std::array<pollfd, 2> ready{{{fuse_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
        if (::poll(ready.data(), ready.size(), -1) < 0 || ready[1].revents != 0) {
            return;
        }
        answer_one();
    }
}

void StallingFiles::answer_one()
{
    std::vector<std::byte> buffer(kLargest);
    const auto size = ::read(fuse_.get(), buffer.data(), buffer.size());
    if (size < static_cast<ssize_t>(sizeof(fuse_in_header))) {
        return;
    }
    const auto message = std::span<const std::byte>{buffer}.first(static_cast<std::size_t>(size));
    answer({body_as<fuse_in_header>(message), message.subspan(sizeof(fuse_in_header))});
}

void StallingFiles::answer(const Request& request)
{
    const auto unique = request.head.unique;
    fuse_attr attributes{};
    attributes.ino = request.head.opcode == FUSE_LOOKUP ? kFile : request.head.nodeid;
    attributes.mode = attributes.ino == kFile ? S_IFREG | 0400 : S_IFDIR | 0500;
    attributes.size = attributes.ino == kFile ? content_.size() : 0;
    attributes.nlink = 1;
    switch (request.head.opcode) {
    case FUSE_INIT: {
        fuse_init_out out{};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = 31;
        out.max_readahead = body_as<fuse_init_in>(request.body).max_readahead;
        out.max_write = 4096;
        return reply(unique, 0, bytes_of(out));
    }
    case FUSE_LOOKUP: { // without a time for which the kernel need not ask again, as everywhere here
        fuse_entry_out out{};
        out.nodeid = kFile;
        out.attr = attributes;
        return reply(unique, 0, bytes_of(out));
    }
    case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr = attributes;
        return reply(unique, 0, bytes_of(out));
    }
    case FUSE_OPEN:
        return reply(unique, 0, bytes_of(fuse_open_out{}));
    case FUSE_READ: {
        const auto in = body_as<fuse_read_in>(request.body);
        const auto begin = std::min<std::uint64_t>(in.offset, content_.size());
        const auto length = std::min<std::uint64_t>(in.size, content_.size() - begin);
        return reply(unique, 0, std::as_bytes(std::span{content_}.subspan(begin, length)));
    }
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        return; // wait for no answer
    case FUSE_RELEASE:
    case FUSE_FLUSH:
        return reply(unique, 0, {});
    default:
        return reply(unique, ENOSYS, {});
    }
}

void StallingFiles::reply(std::uint64_t unique, int error, std::span<const std::byte> body) const
{
    fuse_out_header head{};
    head.len = static_cast<std::uint32_t>(sizeof head + body.size());
    head.error = -error;
    head.unique = unique;
    const std::array<iovec, 2> parts{
        {{&head, sizeof head}, {const_cast<std::byte*>(body.data()), body.size()}}}; // NOLINT: writev() does not write
    (void)!::writev(fuse_.get(), parts.data(), body.empty() ? 1 : 2);
}

} // namespace sluice::test
