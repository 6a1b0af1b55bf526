// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/mutex.hpp"
#include "lib/async_read.hpp"
#include "lib/blob_file.hpp"
#include "lib/link.hpp"
#include "lib/session.hpp"

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace sluice::lib {

class Client;

/// An opened blob. Thread-safe. Its file changes only when the daemon's cache was thrown away.
class Blob {
public:
    [[nodiscard]] std::shared_ptr<BlobFile> file() const;
    /// As file(), and keeps the descriptor open as long as the blob.
    [[nodiscard]] int lend_fd();
    /// Takes what an OPEN brought; 0, or -ESTALE for another blob than before. Without a descriptor the file is the one
    /// that is here already; -EMFILE where there is none.
    [[nodiscard]] int adopt(const OpenedObject& opened, UniqueFd fd);

    // Set by the first adopt() and the same from then on.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

    [[nodiscard]] const std::string& digest() const noexcept { return digest_; }

    Session::BlobId id = 0; ///< guarded by the client's mutex

private:
    mutable Mutex mutex_;
    std::uint64_t size_ = 0;
    std::string digest_;
    std::shared_ptr<BlobFile> file_ SLUICE_GUARDED_BY(mutex_);
    std::vector<std::shared_ptr<BlobFile>> lent_ SLUICE_GUARDED_BY(mutex_);
};

/// A connection with its thread: the session's hands and clock. Thread-safe but for stop() and close_blob().
class Client {
public:
    struct Options {
        std::string socket_path;
        milliseconds timeout{0}; ///< 0: none
        bool wait = false;
    };

    explicit Client(Options options);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client();

    /// Starts the thread and connects. 0 or a negative errno.
    [[nodiscard]] int start();
    void stop();

    [[nodiscard]] int open_blob(BlobName name, std::shared_ptr<Blob>& out);
    void close_blob(Blob& blob);
    /// Until the daemon has put [offset, offset + length) there; blocks. 0 or a negative errno.
    [[nodiscard]] int fill(const Blob& blob, std::uint64_t offset, std::uint64_t length, TimePoint deadline);
    [[nodiscard]] ssize_t pread(const std::shared_ptr<Blob>& blob, std::span<std::byte> out, std::uint64_t offset);

    [[nodiscard]] int submit(std::unique_ptr<AsyncRead> read, std::uint64_t& id);
    [[nodiscard]] int cancel(std::uint64_t id);
    void cancel_all();
    [[nodiscard]] unsigned reap(std::span<sluice_completion> out);

    [[nodiscard]] int event_fd() const noexcept { return completed_fd_.get(); }

    [[nodiscard]] TimePoint deadline() const;

private:
    struct Waiter;

    static constexpr std::uint64_t kMostFill = std::uint64_t{4} << 20; ///< bytes asked for at once

    [[nodiscard]] int wait_for(Waiter& waiter) SLUICE_REQUIRES(mutex_);
    void wake();
    void run();
    void turn() SLUICE_REQUIRES(mutex_);
    void sleep(bool for_a_breath) SLUICE_REQUIRES(mutex_);
    void connect(TimePoint now) SLUICE_REQUIRES(mutex_);
    void drop(int error) SLUICE_REQUIRES(mutex_);
    void send_all() SLUICE_REQUIRES(mutex_);
    void receive_all() SLUICE_REQUIRES(mutex_);
    void run_reads() SLUICE_REQUIRES(mutex_);
    void settle(AsyncRead& read, AsyncRead::Step step) SLUICE_REQUIRES(mutex_);
    void complete(AsyncRead& read) SLUICE_REQUIRES(mutex_);

    Options options_;
    UniqueFd wake_fd_;
    UniqueFd completed_fd_;
    mutable Mutex mutex_;
    Session session_ SLUICE_GUARDED_BY(mutex_);
    Link link_ SLUICE_GUARDED_BY(mutex_);
    bool blocked_ SLUICE_GUARDED_BY(mutex_) = false; // the socket takes no more at the moment
    bool stopping_ SLUICE_GUARDED_BY(mutex_) = false;
    std::uint64_t last_read_ SLUICE_GUARDED_BY(mutex_) = 0;
    std::map<std::uint64_t, std::unique_ptr<AsyncRead>> reads_ SLUICE_GUARDED_BY(mutex_);
    ReadQueue runnable_ SLUICE_GUARDED_BY(mutex_); // of reads_: with something to do for the thread
    std::deque<sluice_completion> completed_ SLUICE_GUARDED_BY(mutex_);
    std::thread thread_;
};

} // namespace sluice::lib
