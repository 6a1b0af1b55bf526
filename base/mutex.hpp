// SPDX-License-Identifier: Apache-2.0
//
// A mutex of which clang knows what it guards (-Wthread-safety): touching what is guarded without the lock does not
// compile there. g++ sees plain std::mutex. No other file includes <mutex> or <condition_variable>.
#pragma once

#include "base/clock.hpp"

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define SLUICE_THREAD_ATTRIBUTE(...) __attribute__((__VA_ARGS__))
#else
#define SLUICE_THREAD_ATTRIBUTE(...)
#endif

/// On a member: only who holds the mutex may read or write it.
#define SLUICE_GUARDED_BY(...) SLUICE_THREAD_ATTRIBUTE(guarded_by(__VA_ARGS__))
/// On a function: only who holds the mutex may call it, and it returns with the mutex held.
#define SLUICE_REQUIRES(...) SLUICE_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
/// On a function: who calls it must not hold the mutex, because it takes it.
#define SLUICE_EXCLUDES(...) SLUICE_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))

namespace sluice {

class Condition;

class SLUICE_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
public:
    Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;
    ~Mutex() = default;

    /// Tells clang, where it cannot see it, that the caller holds the mutex: in a callback, say. Checks nothing.
    void assert_held() const noexcept SLUICE_THREAD_ATTRIBUTE(assert_capability(this)) {}

private:
    friend class Condition;
    friend class MutexLock;
    friend class MutexRelease;

    void lock() SLUICE_THREAD_ATTRIBUTE(acquire_capability()) { native_.lock(); }

    void unlock() noexcept SLUICE_THREAD_ATTRIBUTE(release_capability()) { native_.unlock(); }

    std::mutex native_;
};

/// Holds a mutex for as long as it lives.
class SLUICE_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
public:
    explicit MutexLock(Mutex& mutex) SLUICE_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_{mutex}
    {
        mutex_.lock();
    }

    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

    ~MutexLock() SLUICE_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

private:
    Mutex& mutex_;
};

/// Lets go of a mutex that the caller holds, for as long as it lives.
class SLUICE_THREAD_ATTRIBUTE(scoped_lockable) MutexRelease {
public:
    explicit MutexRelease(Mutex& mutex) SLUICE_THREAD_ATTRIBUTE(release_capability(mutex)) : mutex_{mutex}
    {
        mutex_.unlock();
    }

    MutexRelease(const MutexRelease&) = delete;
    MutexRelease& operator=(const MutexRelease&) = delete;

    ~MutexRelease() SLUICE_THREAD_ATTRIBUTE(release_capability()) { mutex_.lock(); }

private:
    Mutex& mutex_;
};

/// What threads wait for under a mutex: `while (!there_) { changed_.wait(mutex_); }`. No form takes a predicate,
/// because clang takes the body of a lambda for code that holds no mutex.
class Condition {
public:
    void notify_one() noexcept { native_.notify_one(); }

    void notify_all() noexcept { native_.notify_all(); }

    void wait(Mutex& mutex) SLUICE_REQUIRES(mutex)
    {
        std::unique_lock lock{mutex.native_, std::adopt_lock};
        native_.wait(lock);
        (void)lock.release();
    }

    /// False when `until` has come.
    [[nodiscard]] bool wait_until(Mutex& mutex, TimePoint until) SLUICE_REQUIRES(mutex)
    {
        std::unique_lock lock{mutex.native_, std::adopt_lock};
        const auto status = native_.wait_until(lock, until);
        (void)lock.release();
        return status == std::cv_status::no_timeout;
    }

private:
    std::condition_variable native_;
};

} // namespace sluice
