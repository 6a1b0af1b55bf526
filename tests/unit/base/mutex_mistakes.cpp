// SPDX-License-Identifier: Apache-2.0
//
// Not part of any program: check_mutex_mistakes.py has clang look at it once without a mistake, and once for each.
#include "base/mutex.hpp"

namespace sluice {

class Counter {
public:
    void count()
    {
        const MutexLock lock{mutex_};
        add();
        while (value_ < 2) {
            changed_.wait(mutex_);
            const MutexRelease away{mutex_};
        }
    }

#if MISTAKE == 1
    [[nodiscard]] int touches_without_the_lock() const
    {
        return value_;
    }
#elif MISTAKE == 2
    void calls_without_the_lock()
    {
        add();
    }
#elif MISTAKE == 3
    void locks_twice()
    {
        const MutexLock lock{mutex_};
        const MutexLock again{mutex_};
    }
#elif MISTAKE == 4
    void waits_without_the_lock()
    {
        changed_.wait(mutex_);
    }
#endif

private:
    void add() SLUICE_REQUIRES(mutex_)
    {
        ++value_;
    }

    Mutex mutex_;
    Condition changed_;
    int value_ SLUICE_GUARDED_BY(mutex_) = 0;
};

} // namespace sluice
