// SPDX-License-Identifier: Apache-2.0
//
// Name servers that do not answer. libcurl asks the C library on threads of its own; this program takes getaddrinfo()'s
// place there, so that a name can hang for as long as a test wants.
#include "base/mutex.hpp"
#include "fetcher/http_client.hpp"
#include "tests/support/loop_fixture.hpp"

#include <netdb.h>
#include <string_view>

namespace {

constexpr std::string_view kHole = "black-hole.test";

/// Who asks for the name that hangs.
class Hole {
public:
    /// Called on libcurl's threads.
    void fall_in()
    {
        const sluice::MutexLock lock{mutex_};
        ++inside_;
        changed_.notify_all();
        // Not for ever: a loop that waits for us must fail its test, not hang it.
        const auto limit = sluice::SteadyClock::now() + std::chrono::seconds{20};
        while (!open_ && changed_.wait_until(mutex_, limit)) {
        }
        --inside_;
        changed_.notify_all();
    }

    void dig()
    {
        const sluice::MutexLock lock{mutex_};
        open_ = false;
    }

    /// Lets all go, and waits until they have gone.
    void fill()
    {
        const sluice::MutexLock lock{mutex_};
        open_ = true;
        changed_.notify_all();
        while (inside_ != 0) {
            changed_.wait(mutex_);
        }
    }

    [[nodiscard]] unsigned inside() const
    {
        const sluice::MutexLock lock{mutex_};
        return inside_;
    }

private:
    mutable sluice::Mutex mutex_;
    sluice::Condition changed_;
    unsigned inside_ SLUICE_GUARDED_BY(mutex_) = 0;
    bool open_ SLUICE_GUARDED_BY(mutex_) = false;
};

Hole& hole()
{
    static Hole the_hole;
    return the_hole;
}

} // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the C library's
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result)
{
    (void)service;
    (void)hints;
    *result = nullptr;
    if (node != nullptr && node == kHole) {
        hole().fall_in();
    }
    return EAI_AGAIN;
}

namespace sluice::fetcher {
namespace {

class ResolverTest : public ::testing::Test {
protected:
    void SetUp() override
    {
        hole().dig();
        HttpOptions http;
        http.connect_timeout = milliseconds{60'000};
        client_.emplace(loop_, http);
    }

    void TearDown() override
    {
        client_.reset();
        hole().fill();
    }

    Task<Result<HttpResponse>> ask(milliseconds patience)
    {
        HttpRequest request;
        request.url = "http://" + std::string{kHole} + "/v2/";
        request.deadline = Deadline::after(patience);
        return client_->send(std::move(request));
    }

    EventLoop loop_;
    std::optional<HttpClient> client_;
};

TEST_F(ResolverTest, ADeadlineIsKeptWhileANameServerIsSilent)
{
    const auto outcome = test::run_task(loop_, ask(milliseconds{50}));
    EXPECT_EQ(hole().inside(), 1U) << "the loop has waited for the resolver";
    ASSERT_TRUE(outcome.has_value());
    ASSERT_FALSE(*outcome);
    EXPECT_EQ(outcome->error().kind(), ErrorKind::kTimeout) << outcome->error().text();
}

TEST_F(ResolverTest, ARequestIsCancelledWhileANameServerIsSilent)
{
    {
        TaskScope scope{loop_};

        struct Asking {
            static Task<void> run(Task<Result<HttpResponse>> request) { (void)co_await request; }
        };

        scope.spawn(Asking::run(ask(milliseconds{60'000})));
        ASSERT_TRUE(test::run_until(loop_, [] { return hole().inside() == 1; }));
    }
    EXPECT_EQ(hole().inside(), 1U) << "the loop has waited for the resolver";
}

TEST_F(ResolverTest, TheClientCanEndWhileANameServerIsSilent)
{
    const auto outcome = test::run_task(loop_, ask(milliseconds{50}));
    client_.reset();
    EXPECT_EQ(hole().inside(), 1U) << "the end has waited for the resolver";
}

} // namespace
} // namespace sluice::fetcher
