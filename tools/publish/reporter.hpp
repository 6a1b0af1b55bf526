// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tools/publish/publish.hpp"

#include <atomic>
#include <memory>
#include <utility>

namespace sluice::tools {

/// What a worker is given to tell how far it is, and to learn that nobody waits for it any more. Thread-safe; cheap to
/// copy.
class WorkerReporter {
public:
    /// False when the work should stop.
    [[nodiscard]] bool report(std::uint64_t done, std::uint64_t total) const
    {
        if (cancelled_->load(std::memory_order_relaxed)) {
            return false;
        }
        loop_->post([callback = callback_, phase = phase_, done, total] {
            if (const auto alive = callback.lock()) {
                (*alive)(phase, done, total);
            }
        });
        return true;
    }

private:
    friend class Reporter;

    WorkerReporter() = default;

    EventLoop* loop_ = nullptr;
    std::weak_ptr<PublishProgress> callback_; // locked on the loop only
    std::shared_ptr<std::atomic<bool>> cancelled_;
    std::string phase_;
};

/// The publishing task's side: destroying it silences all workers' reports and tells them to stop. Loop thread.
class Reporter {
public:
    Reporter(EventLoop& loop, PublishProgress progress)
        : loop_{loop}, callback_{std::make_shared<PublishProgress>(progress ? std::move(progress) : ignore())}
    {}

    Reporter(const Reporter&) = delete;
    Reporter& operator=(const Reporter&) = delete;

    ~Reporter() { cancelled_->store(true, std::memory_order_relaxed); }

    void report(const std::string& phase, std::uint64_t done, std::uint64_t total) const
    {
        (*callback_)(phase, done, total);
    }

    [[nodiscard]] WorkerReporter for_worker(std::string phase) const
    {
        WorkerReporter reporter;
        reporter.loop_ = &loop_;
        reporter.callback_ = callback_;
        reporter.cancelled_ = cancelled_;
        reporter.phase_ = std::move(phase);
        return reporter;
    }

private:
    [[nodiscard]] static PublishProgress ignore()
    {
        return [](const std::string&, std::uint64_t, std::uint64_t) {};
    }

    EventLoop& loop_;
    std::shared_ptr<PublishProgress> callback_;
    std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

} // namespace sluice::tools
