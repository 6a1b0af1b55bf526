// SPDX-License-Identifier: Apache-2.0
// The client at the limits of its process: no descriptor is free, no memory is left.
#include "lib/session.hpp"
#include "lib/sluice_client.h"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/no_descriptors.hpp"
#include "tests/unit/lib/failing_memory.hpp"
#include "tests/unit/lib/fake_daemon.hpp"

#include <new>

namespace sluice::lib {
namespace {

using test::FakeConnection;
using test::FakeDaemon;

class ClientLimitsTest : public test::FdLeakTest {
protected:
    void TearDown() override
    {
        sluice_blob_close(blob);
        sluice_close(client);
        daemon.reset();
        FdLeakTest::TearDown();
    }

    void connect(FakeDaemon::Script script)
    {
        daemon.emplace(std::move(script));
        sluice_options options = SLUICE_OPTIONS_INIT;
        const auto path = daemon->socket();
        options.socket_path = path.c_str();
        options.timeout_ms = 30'000;
        ASSERT_EQ(sluice_connect(&options, &client), 0);
    }

    int open() { return sluice_blob_open(client, ("sha256:" + std::string(64, 'a')).c_str(), &blob); }

    /// Answers an OPEN when the receiver has no room for the descriptor.
    static void open_without_room(FakeConnection& connection, const std::vector<std::byte>& request)
    {
        std::optional<test::NoDescriptors> none;
        connection.serve(request, true, [&none] { none.emplace(); });
        EXPECT_TRUE(connection.take()) << "only what comes next says that the answer was received";
    }

    std::optional<FakeDaemon> daemon;
    sluice_client* client = nullptr;
    sluice_blob* blob = nullptr;
};

TEST_F(ClientLimitsTest, WithoutADescriptorTheOpeningFailsAndTheConnectionStays)
{
    connect([](FakeConnection& connection, unsigned) {
        bool first = true;
        while (const auto request = connection.take()) {
            const auto header = FakeConnection::as<sluice_wire_header>(*request);
            if (header.opcode == SLUICE_WIRE_OPEN_BLOB && std::exchange(first, false)) {
                open_without_room(connection, *request); // and takes the CLOSE, which stays unanswered
            } else {
                connection.serve(*request);
            }
        }
    });
    EXPECT_EQ(open(), -EMFILE);
    ASSERT_EQ(open(), 0);
    std::string bytes(5, '?');
    EXPECT_EQ(sluice_pread(blob, bytes.data(), bytes.size(), 0), 5);
    EXPECT_EQ(bytes, "ddddd");
    EXPECT_EQ(daemon->connections(), 1U);
}

TEST_F(ClientLimitsTest, AfterALostConnectionTheOldDescriptorDoes)
{
    connect([](FakeConnection& connection, unsigned number) {
        while (const auto request = connection.take()) {
            const auto header = FakeConnection::as<sluice_wire_header>(*request);
            if (number == 0 && header.opcode == SLUICE_WIRE_READ) {
                return;
            }
            std::optional<test::NoDescriptors> none;
            if (number == 1 && header.opcode == SLUICE_WIRE_OPEN_BLOB) {
                connection.serve(*request, true, [&none] { none.emplace(); });
                const auto read = connection.take();
                ASSERT_TRUE(read);
                connection.serve(*read);
            } else {
                connection.serve(*request);
            }
        }
    });
    ASSERT_EQ(open(), 0);
    std::string bytes(5, '?');
    EXPECT_EQ(sluice_pread(blob, bytes.data(), bytes.size(), 0), 5);
    EXPECT_EQ(bytes, "ddddd");
    EXPECT_EQ(daemon->connections(), 2U);
}

TEST(SessionMemory, ARequestThatFindsNoMemoryLeavesNothingBehind)
{
    const auto now = TimePoint{} + std::chrono::seconds{1};
    unsigned ended = 0;
    for (int memory = 0;; ++memory) {
        ASSERT_LT(memory, 100);
        Session session;
        const auto blob = session.add_blob(BlobName{"sha256:", false, 0, 0}, {});
        Session::Done done = [&ended](int) { ++ended; };
        bool failed = false;
        test::fail_after_allocations(memory);
        try {
            (void)session.read(blob, 0, 4096, now, std::move(done));
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        test::fail_after_allocations(-1);
        session.expire(now); // must end
        session.remove_blob(blob);
        EXPECT_EQ(ended, failed ? 0U : 1U);
        EXPECT_FALSE(session.wake_at());
        if (!failed) {
            EXPECT_GT(memory, 2);
            return;
        }
    }
}

} // namespace
} // namespace sluice::lib
