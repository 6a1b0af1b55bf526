// SPDX-License-Identifier: Apache-2.0
#include "protocol/fuse_session.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#define FUSE_USE_VERSION 312

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fuse_lowlevel.h>
#include <sys/epoll.h>

namespace sluice::protocol {

namespace {

constexpr int kRequestsPerTurn = 64;

/// Requests that nobody sleeps on directly (readahead), which the kernel keeps going at once. Its default of 12 would
/// let a slow registry hold up readers that want something else.
constexpr unsigned kBackgroundMax = 64;
constexpr unsigned kReadaheadMax = 1U << 20;

log::Level level_of(fuse_log_level level) noexcept
{
    return level <= FUSE_LOG_ERR ? log::Level::kError : log::Level::kDebug;
}

void log_line(fuse_log_level level, const char* format, va_list arguments)
{
    std::array<char, 512> text{};
    (void)std::vsnprintf(text.data(), text.size(), format, arguments);
    if (log::enabled(level_of(level))) {
        log::write(level_of(level), fmt::format("libfuse: {}", printable(trim(text.data()))));
    }
}

} // namespace

struct FuseSession::Buffer {
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    ~Buffer() { std::free(buf.mem); } // NOLINT(*-no-malloc,*-owning-memory): libfuse has malloc'ed it

    fuse_buf buf{};
};

/// libfuse's C callbacks. Nothing that they call throws but for want of memory.
struct FuseCallbacks {
    static FuseSession& self(fuse_req_t request) { return *static_cast<FuseSession*>(::fuse_req_userdata(request)); }

    static FuseOperations& operations(fuse_req_t request) { return self(request).operations_; }

    static FuseRequest owned(fuse_req_t request) { return {self(request).session_, request}; }

    static void init(void*, fuse_conn_info* connection) noexcept
    {
        // A request is small: reading it through a pipe would only cost.
        connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ);
        connection->max_background = kBackgroundMax;
        connection->congestion_threshold = kBackgroundMax;
        connection->max_readahead = std::min(connection->max_readahead, kReadaheadMax);
    }

    static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) noexcept
    {
        if (parent != kFuseRoot) {
            ::fuse_reply_err(request, ENOTDIR);
            return;
        }
        operations(request).lookup(owned(request), name);
    }

    static void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) noexcept
    {
        operations(request).get_attributes(owned(request), inode);
    }

    static void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) noexcept
    {
        operations(request).open(owned(request), inode);
    }

    static void read(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* file) noexcept
    {
        operations(request).read(owned(request), file->fh, static_cast<std::uint64_t>(offset), size);
    }

    static void release(fuse_req_t request, fuse_ino_t, fuse_file_info* file) noexcept
    {
        operations(request).release(owned(request), file->fh);
    }

    static void readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) noexcept
    {
        operations(request).list(owned(request), static_cast<std::uint64_t>(offset), size);
    }
};

FuseSession::FuseSession(EventLoop& loop, FuseOperations& operations)
    : loop_{loop}, operations_{operations}, buffer_{std::make_unique<Buffer>()}
{}

FuseSession::~FuseSession() = default;

Result<std::unique_ptr<FuseSession>> FuseSession::make(EventLoop& loop, UniqueFd descriptor, FuseOperations& operations)
{
    ::fuse_set_log_func(log_line);
    fuse_lowlevel_ops ops{};
    ops.init = FuseCallbacks::init;
    ops.lookup = FuseCallbacks::lookup;
    ops.getattr = FuseCallbacks::getattr;
    ops.open = FuseCallbacks::open;
    ops.read = FuseCallbacks::read;
    ops.release = FuseCallbacks::release;
    ops.readdir = FuseCallbacks::readdir;

    std::unique_ptr<FuseSession> self{new FuseSession{loop, operations}};
    std::array<char, 7> name{"sluice"};
    std::array<char*, 2> words{name.data(), nullptr};
    fuse_args arguments = FUSE_ARGS_INIT(1, words.data());
    auto* session = ::fuse_session_new(&arguments, &ops, sizeof ops, self.get());
    ::fuse_opt_free_args(&arguments);
    if (session == nullptr) {
        return fail(ErrorKind::kInternal, "libfuse makes no session");
    }
    self->session_ = FuseSessionPtr{session, [](fuse_session* last) { ::fuse_session_destroy(last); }};
    const auto place = fmt::format("/dev/fd/{}", descriptor.get());
    if (::fuse_session_mount(session, place.c_str()) != 0) {
        return fail(ErrorKind::kInternal, fmt::format("libfuse does not take {}", place));
    }
    (void)descriptor.release(); // the session closes it
    return self;
}

void FuseSession::start()
{
    source_ = std::make_unique<IoSource>(
        loop_, ::fuse_session_fd(session_.get()), EPOLLIN, [this](std::uint32_t) { drain(); }, "FUSE requests"
    );
}

void FuseSession::drain()
{
    // What is left after a turn's share raises the level-triggered watch again, behind everybody else's events.
    for (int i = 0; i < kRequestsPerTurn && source_ && take_one(); ++i) {
    }
}

bool FuseSession::take_one()
{
    const int got = ::fuse_session_receive_buf(session_.get(), &buffer_->buf);
    if (got > 0) {
        ::fuse_session_process_buf(session_.get(), &buffer_->buf);
    } else if (got != -EAGAIN && got != -EINTR) {
        stop();
        operations_.ended();
    }
    return got > 0;
}

} // namespace sluice::protocol
