// SPDX-License-Identifier: Apache-2.0
//
// The connection's thread. It holds the lock but while it sleeps and while it copies a blob's bytes into a caller's
// buffer.
#include "lib/client.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace sluice::lib {

namespace {

constexpr unsigned kReadsPerTurn = 16;
constexpr unsigned kMessagesPerTurn = 256;
constexpr long kBreath = 10'000'000; ///< ns, when memory has run out

} // namespace

void Client::run()
{
    const MutexLock lock{mutex_};
    bool short_of_memory = false;
    while (!stopping_) {
        try {
            if (std::exchange(short_of_memory, false)) {
                drop(-ENOMEM); // what was lost on the way is asked for again
            }
            turn();
        } catch (const std::bad_alloc&) {
            short_of_memory = true;
        }
        sleep(short_of_memory);
    }
    link_.close();
    session_.cancel_all(-ECANCELED);
    runnable_.clear();
    reads_.clear(); // nobody can reap them any more
}

void Client::turn()
{
    receive_all();
    const auto now = std::chrono::steady_clock::now();
    session_.expire(now);
    run_reads();
    if (!link_.is_open() && session_.wants_connection() && session_.connect_at() <= now) {
        connect(now);
    }
    send_all();
}

void Client::sleep(bool for_a_breath)
{
    std::array<pollfd, 2> watched{{{wake_fd_.get(), POLLIN, 0}, {link_.fd(), POLLIN, 0}}};
    if (blocked_) {
        watched[1].events |= POLLOUT;
    }
    timespec left{};
    timespec* until = &left;
    if (for_a_breath) {
        left.tv_nsec = kBreath;
    } else if (runnable_.empty() && !stopping_) {
        const auto at = session_.wake_at();
        if (!at || *at == TimePoint::max()) {
            until = nullptr;
        } else if (const auto wait = *at - std::chrono::steady_clock::now(); wait.count() > 0) {
            const auto whole = std::chrono::duration_cast<std::chrono::seconds>(wait);
            left = {whole.count(), std::chrono::nanoseconds{wait - whole}.count()};
        }
    }
    const bool connected = link_.is_open();
    const MutexRelease asleep{mutex_};
    (void)::ppoll(watched.data(), connected ? 2 : 1, until, nullptr); // all are tried again, whatever it says
    std::uint64_t counted = 0;
    const auto got = ::read(wake_fd_.get(), &counted, sizeof counted);
    (void)got;
}

void Client::connect(TimePoint now)
{
    if (const int failed = link_.open(options_.socket_path); failed != 0) {
        session_.disconnected(now, failed);
        return;
    }
    session_.connected();
}

void Client::drop(int error)
{
    link_.close();
    blocked_ = false;
    session_.disconnected(std::chrono::steady_clock::now(), error);
}

void Client::receive_all()
{
    for (unsigned i = 0; link_.is_open() && i < kMessagesPerTurn; ++i) {
        Link::Message message;
        const int status = link_.receive(message);
        if (status == -EAGAIN) {
            return;
        }
        if (status != 0) {
            drop(status);
        } else if (!session_.received(message.bytes, std::move(message.fd), message.fd_lost)) {
            drop(-EPROTO);
        }
    }
}

void Client::send_all()
{
    blocked_ = false;
    while (link_.is_open() && !blocked_) {
        const auto* message = session_.next();
        if (message == nullptr) {
            return;
        }
        const int status = link_.send(*message);
        if (status == 0) {
            session_.sent();
        } else if (status == -EAGAIN) {
            blocked_ = true;
        } else {
            drop(status);
        }
    }
}

void Client::run_reads()
{
    for (unsigned i = 0; i < kReadsPerTurn && !runnable_.empty() && !stopping_; ++i) {
        auto& read = runnable_.pop();
        AsyncRead::Step step;
        if (!read.cancelled) {
            const MutexRelease copying{mutex_};
            step = read.step(kMostFill);
        }
        try {
            settle(read, step);
        } catch (...) { // out of memory: its turn comes again
            runnable_.push(read);
            throw;
        }
    }
}

void Client::settle(AsyncRead& read, AsyncRead::Step step)
{
    if (read.cancelled) {
        read.stop(-ECANCELED);
        step = {};
    }
    switch (step.what) {
    case AsyncRead::Step::What::kDone:
        complete(read);
        break;
    case AsyncRead::Step::What::kAgain:
        runnable_.push(read);
        break;
    case AsyncRead::Step::What::kFill:
        read.waits_for = session_.read(
            read.blob().id,
            step.offset,
            std::min<std::uint64_t>(step.length, session_.limits().read),
            read.deadline(),
            [this, &read](int status) {
                mutex_.assert_held();
                read.waits_for = 0;
                read.filled(status);
                runnable_.push(read);
            }
        );
        break;
    }
}

void Client::complete(AsyncRead& read)
{
    completed_.push_back({read.id, read.user, read.result()});
    reads_.erase(read.id);
    const std::uint64_t one = 1;
    const auto written = ::write(completed_fd_.get(), &one, sizeof one);
    (void)written;
}

} // namespace sluice::lib
