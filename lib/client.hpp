// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "lib/async_read.hpp"
#include "lib/blob_file.hpp"
#include "lib/link.hpp"
#include "lib/session.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
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
    mutable std::mutex mutex_;
    std::uint64_t size_ = 0;
    std::string digest_;
    std::shared_ptr<BlobFile> file_;
    std::vector<std::shared_ptr<BlobFile>> lent_;
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

    [[nodiscard]] int wait_for(std::unique_lock<std::mutex>& lock, Waiter& waiter);
    void wake();
    void run();
    void turn(std::unique_lock<std::mutex>& lock);
    void sleep(std::unique_lock<std::mutex>& lock, bool for_a_breath);
    void connect(TimePoint now);
    void drop(int error);
    void send_all();
    void receive_all();
    void run_reads(std::unique_lock<std::mutex>& lock);
    void settle(AsyncRead& read, AsyncRead::Step step);
    void complete(AsyncRead& read);

    Options options_;
    UniqueFd wake_fd_;
    UniqueFd completed_fd_;
    mutable std::mutex mutex_;
    // All below is guarded by mutex_.
    Session session_;
    Link link_;
    bool blocked_ = false; // the socket takes no more at the moment
    bool stopping_ = false;
    std::uint64_t last_read_ = 0;
    std::map<std::uint64_t, std::unique_ptr<AsyncRead>> reads_;
    ReadQueue runnable_; // of reads_: with something to do for the thread
    std::deque<sluice_completion> completed_;
    std::thread thread_;
};

} // namespace sluice::lib
