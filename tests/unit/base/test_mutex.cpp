// SPDX-License-Identifier: Apache-2.0
#include "base/mutex.hpp"

#include <gtest/gtest.h>
#include <thread>

namespace sluice {
namespace {

TEST(Mutex, OneThreadAtATimeHasIt)
{
    struct Shared {
        Mutex mutex;
        long count SLUICE_GUARDED_BY(mutex) = 0;

        void add()
        {
            for (int i = 0; i < 20'000; ++i) {
                const MutexLock lock{mutex};
                ++count;
            }
        }
    };

    Shared shared;
    {
        const std::jthread one{[&shared] { shared.add(); }};
        const std::jthread other{[&shared] { shared.add(); }};
    }
    const MutexLock lock{shared.mutex};
    EXPECT_EQ(shared.count, 40'000);
}

/// Two threads that take turns. Each goes on only when the other has got the mutex and changed what it waits for.
class Turns {
public:
    /// By waiting, which lets go of the mutex.
    void wait_for(int turn)
    {
        const MutexLock lock{mutex_};
        while (turn_ < turn) {
            changed_.wait(mutex_);
        }
    }

    /// By hand.
    void look_for(int turn)
    {
        const MutexLock lock{mutex_};
        while (turn_ < turn) {
            const MutexRelease others{mutex_};
            std::this_thread::yield();
        }
    }

    void next()
    {
        const MutexLock lock{mutex_};
        ++turn_;
        changed_.notify_all();
    }

    [[nodiscard]] bool comes_before(TimePoint until)
    {
        const MutexLock lock{mutex_};
        return changed_.wait_until(mutex_, until);
    }

private:
    Mutex mutex_;
    Condition changed_;
    int turn_ SLUICE_GUARDED_BY(mutex_) = 0;
};

TEST(Mutex, IsFreeWhileSomebodyWaitsUnderItOrHasReleasedIt)
{
    Turns turns; // hangs where the mutex is kept
    const std::jthread other{[&turns] {
        turns.next();
        turns.wait_for(2);
        turns.next();
    }};
    turns.wait_for(1);
    turns.next();
    turns.look_for(3);
    turns.next(); // would hang if the wait or the release had left the mutex locked
}

TEST(Condition, TellsThatTheTimeHasCome)
{
    Turns turns;
    EXPECT_FALSE(turns.comes_before(SteadyClock::now()));
}

} // namespace
} // namespace sluice
