// SPDX-License-Identifier: Apache-2.0
// The C interface against daemons that do not behave.
#include "lib/sluice_client.h"
#include "tests/support/loop_fixture.hpp"
#include "tests/unit/lib/fake_daemon.hpp"

#include <algorithm>
#include <future>

namespace sluice::lib {
namespace {

using test::FakeConnection;
using test::FakeDaemon;
using test::kFakeBlobSize;

const std::string kDigest = "sha256:" + std::string(64, 'a');

class ClientTest : public test::FdLeakTest {
protected:
    void TearDown() override
    {
        sluice_blob_close(blob);
        sluice_close(client);
        daemon.reset();
        FdLeakTest::TearDown();
    }

    void script(FakeDaemon::Script script) { daemon.emplace(std::move(script)); }

    int connect(std::int64_t timeout_ms = 30'000)
    {
        sluice_options options = SLUICE_OPTIONS_INIT;
        const auto path = daemon->socket();
        options.socket_path = path.c_str();
        options.timeout_ms = timeout_ms;
        return sluice_connect(&options, &client);
    }

    int open() { return sluice_blob_open(client, kDigest.c_str(), &blob); }

    std::string read(std::size_t count, std::int64_t offset)
    {
        std::string bytes(count, '?');
        result = sluice_pread(blob, bytes.data(), count, offset);
        bytes.resize(result > 0 ? static_cast<std::size_t>(result) : 0);
        return bytes;
    }

    std::optional<FakeDaemon> daemon;
    sluice_client* client = nullptr;
    sluice_blob* blob = nullptr;
    ssize_t result = 0;
};

TEST_F(ClientTest, ArgumentsThatMakeNoSenseAreRefused)
{
    EXPECT_EQ(sluice_connect(nullptr, nullptr), -EINVAL);
    sluice_options options = SLUICE_OPTIONS_INIT;
    options.struct_size = 4;
    EXPECT_EQ(sluice_connect(&options, &client), -EINVAL);
    options = SLUICE_OPTIONS_INIT;
    options.flags = 2;
    EXPECT_EQ(sluice_connect(&options, &client), -EINVAL);
    options = SLUICE_OPTIONS_INIT;
    const std::string far(200, 'x');
    options.socket_path = far.c_str();
    EXPECT_EQ(sluice_connect(&options, &client), -ENAMETOOLONG);
    EXPECT_EQ(sluice_blob_open(nullptr, kDigest.c_str(), &blob), -EINVAL);
    EXPECT_EQ(sluice_pread(nullptr, &result, 1, 0), -EINVAL);
    EXPECT_EQ(sluice_reap(nullptr, nullptr, 0), -EINVAL);
    sluice_close(nullptr);
    sluice_blob_close(nullptr);
    sluice_cancel_all(nullptr);
    script([](FakeConnection& connection, unsigned) { connection.serve_all(); });
    ASSERT_EQ(connect(), 0);
    ASSERT_EQ(open(), 0);
    EXPECT_EQ(read(10, -1), "");
    EXPECT_EQ(result, -EINVAL);
    EXPECT_EQ(sluice_image_open(client, "", 0, 0, &blob), -EINVAL);
    EXPECT_EQ(sluice_image_open(client, std::string(769, 'x').c_str(), 0, 0, &blob), -EINVAL);
}

TEST_F(ClientTest, ReadsEndAtTheEndOfTheBlob)
{
    script([](FakeConnection& connection, unsigned) { connection.serve_all(); });
    ASSERT_EQ(connect(), 0);
    ASSERT_EQ(open(), 0);
    EXPECT_EQ(read(100, static_cast<std::int64_t>(kFakeBlobSize) - 10), "dddddddddd");
    EXPECT_EQ(read(100, kFakeBlobSize), "");
    EXPECT_EQ(result, 0);
    EXPECT_EQ(read(0, 0), "");
    EXPECT_EQ(result, 0);
    EXPECT_EQ(read(100, INT64_MAX), "");
    EXPECT_EQ(result, 0);
}

TEST_F(ClientTest, AnAnswerWithoutDataIsAnErrorAndNoZeros)
{
    script([](FakeConnection& connection, unsigned) {
        while (const auto request = connection.take()) {
            connection.serve(*request, false);
        }
    });
    ASSERT_EQ(connect(), 0);
    ASSERT_EQ(open(), 0);
    EXPECT_EQ(read(100, 0), "");
    EXPECT_EQ(result, -EIO);
}

TEST_F(ClientTest, GarbageEndsTheConnectionAndTheReadIsAskedAgain)
{
    script([](FakeConnection& connection, unsigned number) {
        connection.serve_all([&](const sluice_wire_header& header) {
            if (number > 3 || header.opcode != SLUICE_WIRE_READ) {
                return false;
            }
            const std::string garbage[] = {"x", std::string(2000, 'y'), std::string(24, '\xff'), {}};
            connection.send(std::as_bytes(std::span{garbage[number]}));
            return true;
        });
    });
    ASSERT_EQ(connect(), 0);
    ASSERT_EQ(open(), 0);
    EXPECT_EQ(read(5, 10'000), "ddddd");
    EXPECT_EQ(daemon->connections(), 5U);
}

TEST_F(ClientTest, HundredReadsOutlastADaemonThatDiesAgainAndAgain)
{
    script([](FakeConnection& connection, unsigned number) {
        unsigned served = 0;
        connection.serve_all([&](const sluice_wire_header& header) {
            return number < 5 && header.opcode == SLUICE_WIRE_READ && served++ == 2;
        });
    });
    ASSERT_EQ(connect(), 0);
    ASSERT_EQ(open(), 0);
    std::vector<std::future<ssize_t>> reads;
    std::vector<std::string> buffers(100, std::string(600, '?'));
    for (std::size_t i = 0; i < buffers.size(); ++i) {
        reads.push_back(std::async(std::launch::async, [&, i] {
            return sluice_pread(blob, buffers[i].data(), 600, static_cast<std::int64_t>(i * 650));
        }));
    }
    for (std::size_t i = 0; i < buffers.size(); ++i) {
        EXPECT_EQ(reads[i].get(), 600) << i;
        EXPECT_EQ(buffers[i], std::string(600, 'd')) << i;
    }
}

TEST_F(ClientTest, OnlyAReadOnlyRegularFileIsTaken)
{
    script([](FakeConnection& connection, unsigned) {
        unsigned opens = 0;
        while (const auto request = connection.take()) {
            const auto header = FakeConnection::as<sluice_wire_header>(*request);
            if (header.opcode != SLUICE_WIRE_OPEN_BLOB) {
                connection.serve(*request);
                continue;
            }
            const char* const files[] = {"/dev/null", "/tmp"};
            const UniqueFd odd{kAdoptFd, ::open(files[opens % 2], (opens < 2 ? O_RDONLY : O_PATH) | O_CLOEXEC)};
            connection.send_opened(header, {odd.get(), odd.get(), odd.get()}); // and more than one
            ++opens;
        }
    });
    ASSERT_EQ(connect(), 0);
    for (int i = 0; i < 4; ++i) {
        EXPECT_LT(open(), 0) << i;
    }
}

TEST_F(ClientTest, ADaemonThatSaysNothingIsLeftInTime)
{
    script([](FakeConnection& connection, unsigned) {
        while (connection.take()) {
        }
    });
    EXPECT_EQ(connect(50), -ETIMEDOUT);
}

TEST_F(ClientTest, ARefusalIsTheAnswer)
{
    script([](FakeConnection& connection, unsigned) {
        if (const auto request = connection.take()) {
            connection.send_status(FakeConnection::as<sluice_wire_header>(*request), -EACCES);
        }
    });
    EXPECT_EQ(connect(), -EACCES);
}

TEST_F(ClientTest, TooManyClientsIsTheAnswerToo)
{
    script([](FakeConnection& connection, unsigned) {
        if (const auto request = connection.take()) {
            connection.send_status(FakeConnection::as<sluice_wire_header>(*request), -EBUSY);
        }
    });
    EXPECT_EQ(connect(), -EBUSY);
}

TEST_F(ClientTest, ADaemonThatComesLaterIsWaitedForWhereThatIsWanted)
{
    test::TempDir dir;
    sluice_options options = SLUICE_OPTIONS_INIT;
    const auto path = (dir.path() / "socket").string();
    options.socket_path = path.c_str();
    EXPECT_EQ(sluice_connect(&options, &client), -ENOENT);
    options.flags = SLUICE_CONNECT_WAIT;
    auto connecting = std::async(std::launch::async, [&] { return sluice_connect(&options, &client); });
    script([](FakeConnection& connection, unsigned) { connection.serve_all(); });
    std::filesystem::create_symlink(daemon->socket(), path);
    EXPECT_EQ(connecting.get(), 0);
}

TEST_F(ClientTest, CancellingEndsWhatWaitsInOtherThreads)
{
    std::promise<void> reading;
    script([&](FakeConnection& connection, unsigned) {
        bool first = true;
        while (const auto request = connection.take()) {
            if (FakeConnection::as<sluice_wire_header>(*request).opcode != SLUICE_WIRE_READ) {
                connection.serve(*request);
            } else if (std::exchange(first, false)) {
                reading.set_value();
            }
        }
    });
    ASSERT_EQ(connect(), 0);
    ASSERT_EQ(open(), 0);
    auto waiting = std::async(std::launch::async, [&] { return read(10, 0); });
    reading.get_future().wait();
    sluice_cancel_all(client);
    EXPECT_EQ(waiting.get(), "");
    EXPECT_EQ(result, -ECANCELED);
}

TEST_F(ClientTest, EachAsynchronousReadCompletesOnceAlsoWhenItIsCancelled)
{
    script([&](FakeConnection& connection, unsigned) {
        while (const auto request = connection.take()) {
            if (FakeConnection::as<sluice_wire_header>(*request).opcode != SLUICE_WIRE_READ) {
                connection.serve(*request);
            }
        }
    });
    ASSERT_EQ(connect(), 0);
    ASSERT_EQ(open(), 0);
    std::string buffer(100, '?');
    std::vector<std::uint64_t> ids(3);
    for (auto& id : ids) {
        ASSERT_EQ(sluice_submit_pread(blob, buffer.data(), buffer.size(), 0, nullptr, &id), 0);
    }
    EXPECT_EQ(sluice_cancel(client, ids[1]), 0);
    EXPECT_EQ(sluice_cancel(client, 4711), -ENOENT);
    std::vector<std::uint64_t> ended;
    const auto reap_one = [&] {
        pollfd watched{sluice_event_fd(client), POLLIN, 0};
        ASSERT_EQ(::poll(&watched, 1, 30'000), 1);
        sluice_completion done{};
        if (sluice_reap(client, &done, 1) == 1) {
            EXPECT_EQ(done.result, -ECANCELED);
            ended.push_back(done.id);
        }
    };
    reap_one();
    EXPECT_EQ(ended, std::vector{ids[1]});
    EXPECT_EQ(sluice_cancel(client, ids[1]), -ENOENT);
    sluice_blob_close(std::exchange(blob, nullptr)); // ends the others
    while (ended.size() < 3 && !HasFatalFailure()) {
        reap_one();
    }
    std::ranges::sort(ended);
    EXPECT_EQ(ended, ids);
}

TEST_F(ClientTest, AnotherBlobOfTheSameNameIsStale)
{
    script([](FakeConnection& connection, unsigned number) {
        while (const auto request = connection.take()) {
            const auto header = FakeConnection::as<sluice_wire_header>(*request);
            if (number > 0 && header.opcode == SLUICE_WIRE_OPEN_BLOB) {
                const UniqueFd file{kAdoptFd, ::open("/etc/passwd", O_RDONLY | O_CLOEXEC)};
                connection.send_opened(header, {file.get()}, 0xbb);
            } else if (number == 0 && header.opcode == SLUICE_WIRE_READ) {
                return;
            } else {
                connection.serve(*request);
            }
        }
    });
    ASSERT_EQ(connect(), 0);
    ASSERT_EQ(open(), 0);
    EXPECT_EQ(read(10, 0), "");
    EXPECT_EQ(result, -ESTALE);
}

TEST_F(ClientTest, AClosedConnectionLeavesWhatIsCachedReadable)
{
    script([](FakeConnection& connection, unsigned) { connection.serve_all(); });
    ASSERT_EQ(connect(), 0);
    ASSERT_EQ(open(), 0);
    EXPECT_EQ(read(3, 0), "ddd");
    sluice_close(std::exchange(client, nullptr));
    EXPECT_EQ(read(3, 0), "ddd");
    EXPECT_EQ(read(3, 32'768), "");
    EXPECT_EQ(result, -ESHUTDOWN);
}

} // namespace
} // namespace sluice::lib
