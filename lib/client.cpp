// SPDX-License-Identifier: Apache-2.0
//
// What callers call. Reading what is cached takes neither the lock nor the thread: only holes do.
#include "lib/client.hpp"

#include "base/mutex.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>
#include <sys/eventfd.h>
#include <unistd.h>

namespace sluice::lib {

struct Client::Waiter {
    Condition ended;
    std::optional<int> status;

    Session::Done done()
    {
        return [this](int how) {
            status = how;
            ended.notify_one();
        };
    }
};

Client::Client(Options options) : options_{std::move(options)} {}

Client::~Client()
{
    stop();
}

TimePoint Client::deadline() const
{
    return options_.timeout == milliseconds{0} ? TimePoint::max() : std::chrono::steady_clock::now() + options_.timeout;
}

int Client::start()
{
    wake_fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    completed_fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_fd_ || !completed_fd_) {
        return -errno;
    }
    // Signals are the program's business: the thread inherits a mask in which none gets through.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread{[this] { run(); }};
    } catch (const std::system_error&) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return -EAGAIN;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    const MutexLock lock{mutex_};
    Waiter waiter;
    (void)session_.greet(deadline(), options_.wait, waiter.done());
    return wait_for(waiter);
}

void Client::stop()
{
    {
        const MutexLock lock{mutex_};
        stopping_ = true;
    }
    if (thread_.joinable()) {
        wake();
        thread_.join();
    }
}

void Client::wake()
{
    const std::uint64_t one = 1;
    const auto written = ::write(wake_fd_.get(), &one, sizeof one);
    (void)written; // a counter that is full wakes as well
}

int Client::wait_for(Waiter& waiter)
{
    wake();
    while (!waiter.status) {
        waiter.ended.wait(mutex_);
    }
    return *waiter.status;
}

int Client::open_blob(BlobName name, std::shared_ptr<Blob>& out)
{
    auto blob = std::make_shared<Blob>();
    const MutexLock lock{mutex_};
    if (stopping_) {
        return -ESHUTDOWN;
    }
    // Weak: the session may hear of an answer after the blob was closed.
    blob->id =
        session_.add_blob(std::move(name), [weak = std::weak_ptr{blob}](const OpenedObject& opened, UniqueFd fd) {
            const auto still = weak.lock();
            return still ? still->adopt(opened, std::move(fd)) : -ECANCELED;
        });
    Waiter waiter;
    (void)session_.open(blob->id, deadline(), waiter.done());
    const int status = wait_for(waiter);
    if (status != 0) {
        session_.remove_blob(blob->id);
        wake();
        return status;
    }
    out = std::move(blob);
    return 0;
}

void Client::close_blob(Blob& blob)
{
    const MutexLock lock{mutex_};
    for (auto& [id, read] : reads_) {
        read->cancelled = read->cancelled || &read->blob() == &blob;
    }
    session_.remove_blob(blob.id);
    wake();
}

int Client::fill(const Blob& blob, std::uint64_t offset, std::uint64_t length, TimePoint until)
{
    const MutexLock lock{mutex_};
    while (length > 0) {
        if (stopping_) {
            return -ESHUTDOWN;
        }
        const auto piece = std::min<std::uint64_t>(length, session_.limits().read);
        Waiter waiter;
        (void)session_.read(blob.id, offset, piece, until, waiter.done());
        if (const int status = wait_for(waiter); status != 0) {
            return status;
        }
        offset += piece;
        length -= piece;
    }
    return 0;
}

ssize_t Client::pread(const std::shared_ptr<Blob>& blob, std::span<std::byte> out, std::uint64_t offset)
{
    AsyncRead read{blob, out, offset, deadline()};
    for (;;) {
        const auto step = read.step(kMostFill);
        switch (step.what) {
        case AsyncRead::Step::What::kDone:
            return static_cast<ssize_t>(read.result());
        case AsyncRead::Step::What::kAgain:
            break;
        case AsyncRead::Step::What::kFill:
            read.filled(fill(*blob, step.offset, step.length, read.deadline()));
            break;
        }
    }
}

int Client::submit(std::unique_ptr<AsyncRead> read, std::uint64_t& id)
{
    const MutexLock lock{mutex_};
    if (stopping_) {
        return -ESHUTDOWN;
    }
    id = read->id = ++last_read_;
    runnable_.push(*reads_.emplace(id, std::move(read)).first->second);
    wake();
    return 0;
}

int Client::cancel(std::uint64_t id)
{
    const MutexLock lock{mutex_};
    const auto at = reads_.find(id);
    if (at == reads_.end()) {
        return -ENOENT;
    }
    at->second->cancelled = true;
    (void)session_.cancel(at->second->waits_for, -ECANCELED);
    wake();
    return 0;
}

void Client::cancel_all()
{
    const MutexLock lock{mutex_};
    for (auto& [id, read] : reads_) {
        read->cancelled = true;
    }
    session_.cancel_all(-ECANCELED);
    wake();
}

unsigned Client::reap(std::span<sluice_completion> out)
{
    const MutexLock lock{mutex_};
    const auto count = std::min(out.size(), completed_.size());
    std::copy_n(completed_.begin(), count, out.begin());
    completed_.erase(completed_.begin(), completed_.begin() + static_cast<std::ptrdiff_t>(count));
    if (completed_.empty()) {
        std::uint64_t counted = 0;
        const auto got = ::read(completed_fd_.get(), &counted, sizeof counted);
        (void)got; // empty already when nothing had come
    }
    return static_cast<unsigned>(count);
}

} // namespace sluice::lib
