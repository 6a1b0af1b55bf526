// SPDX-License-Identifier: Apache-2.0
// The client's state machine against a daemon that exists as a script only.
#include "lib/session.hpp"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <optional>
#include <string>

namespace sluice::lib {
namespace {

using std::chrono::seconds;

struct Sent {
    std::uint16_t opcode = 0;
    std::uint32_t id = 0;
    std::uint32_t target = 0; ///< READ: the object; CLOSE, CANCEL: the target
    std::string name;         ///< OPEN
};

class SessionTest : public ::testing::Test {
protected:
    /// The next message that the session wants to send.
    std::optional<Sent> send()
    {
        const auto* bytes = session.next();
        if (bytes == nullptr) {
            return std::nullopt;
        }
        sluice_wire_header header{};
        std::memcpy(&header, bytes->data(), sizeof header);
        EXPECT_EQ(header.size, bytes->size());
        Sent sent{header.opcode, header.id, 0, {}};
        if (header.opcode >= SLUICE_WIRE_READ) {
            std::memcpy(&sent.target, bytes->data() + sizeof header, sizeof sent.target);
        } else if (header.opcode != SLUICE_WIRE_HELLO) {
            const auto* text = static_cast<const char*>(static_cast<const void*>(bytes->data()));
            sent.name.assign(text + sizeof(sluice_wire_open), bytes->size() - sizeof(sluice_wire_open));
        }
        session.sent();
        return sent;
    }

    Sent must_send(std::uint16_t opcode)
    {
        const auto sent = send();
        EXPECT_TRUE(sent);
        EXPECT_EQ(sent.value_or(Sent{}).opcode, opcode);
        return sent.value_or(Sent{});
    }

    template <typename T>
    bool receive(const T& message, UniqueFd fd = {})
    {
        return session.received(std::as_bytes(std::span{&message, 1}), std::move(fd));
    }

    bool answer(const Sent& to, int status = 0)
    {
        const auto opcode = static_cast<std::uint16_t>(to.opcode | SLUICE_WIRE_ANSWER);
        return receive(sluice_wire_answer{{opcode, sizeof(sluice_wire_answer), to.id}, status, 0});
    }

    bool answer_hello(const Sent& hello, std::uint32_t requests = 8)
    {
        const sluice_wire_hello_answer message{
            {{SLUICE_WIRE_HELLO | SLUICE_WIRE_ANSWER, sizeof message, hello.id}, 0, 0}, 1, requests, 100, 1 << 20};
        return receive(message);
    }

    bool answer_open(const Sent& open, std::uint32_t object, std::uint8_t digest = 0xaa, bool with_fd = true)
    {
        const auto opcode = static_cast<std::uint16_t>(open.opcode | SLUICE_WIRE_ANSWER);
        sluice_wire_open_answer message{{{opcode, sizeof message, open.id}, 0, 0}, object, 0, 8192, {}};
        std::memset(message.digest, digest, sizeof message.digest);
        return receive(message, with_fd ? UniqueFd{kAdoptFd, ::dup(0)} : UniqueFd{});
    }

    /// Connects and gets through HELLO.
    void link(std::uint32_t requests = 8)
    {
        session.connected();
        ASSERT_TRUE(answer_hello(must_send(SLUICE_WIRE_HELLO), requests));
    }

    Session::BlobId blob(std::string name = "sha256:x", bool image = false)
    {
        return session.add_blob({std::move(name), image, 0, 0}, [this](const OpenedObject&, UniqueFd) {
            ++adopted;
            return adopt_status;
        });
    }

    Session::RequestId read(Session::BlobId of, std::optional<int>& status, seconds patience = seconds{60})
    {
        return session.read(of, 0, 4096, now + patience, [&status](int how) {
            EXPECT_FALSE(status) << "ended twice";
            status = how;
        });
    }

    TimePoint now{seconds{1000}};
    unsigned adopted = 0;
    int adopt_status = 0;
    Session session;
};

TEST_F(SessionTest, NothingIsSentBeforeTheGreetingIsAnswered)
{
    std::optional<int> status;
    (void)read(blob(), status);
    EXPECT_FALSE(send());
    EXPECT_TRUE(session.wants_connection());
    session.connected();
    const auto hello = must_send(SLUICE_WIRE_HELLO);
    EXPECT_FALSE(send());
    ASSERT_TRUE(answer_hello(hello));
    EXPECT_EQ(must_send(SLUICE_WIRE_OPEN_BLOB).name, "sha256:x");
    EXPECT_FALSE(status);
}

TEST_F(SessionTest, ABlobIsOpenedOnceForAllItsReads)
{
    link();
    const auto id = blob();
    std::optional<int> first;
    std::optional<int> second;
    (void)read(id, first);
    (void)read(id, second);
    const auto open = must_send(SLUICE_WIRE_OPEN_BLOB);
    EXPECT_FALSE(send());
    ASSERT_TRUE(answer_open(open, 77));
    const auto one = must_send(SLUICE_WIRE_READ);
    const auto two = must_send(SLUICE_WIRE_READ);
    EXPECT_EQ(one.target, 77U);
    ASSERT_TRUE(answer(two, -EIO)); // in any order
    ASSERT_TRUE(answer(one));
    EXPECT_EQ(first, 0);
    EXPECT_EQ(second, -EIO);
    EXPECT_FALSE(session.wants_connection());
    EXPECT_EQ(adopted, 1U);
}

TEST_F(SessionTest, WhatWasOnItsWayIsSaidAgainAfterTheConnectionWasLost)
{
    link();
    const auto id = blob();
    std::vector<std::optional<int>> status(3);
    for (auto& one : status) {
        (void)read(id, one);
    }
    ASSERT_TRUE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 1));
    ASSERT_TRUE(answer(must_send(SLUICE_WIRE_READ)));
    (void)must_send(SLUICE_WIRE_READ);
    session.disconnected(now, -ECONNRESET);
    EXPECT_EQ(status[0], 0);
    EXPECT_FALSE(status[1] || status[2]);
    EXPECT_TRUE(session.wants_connection());

    link();
    ASSERT_TRUE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 5));
    const auto one = must_send(SLUICE_WIRE_READ);
    EXPECT_EQ(one.target, 5U);
    ASSERT_TRUE(answer(one));
    ASSERT_TRUE(answer(must_send(SLUICE_WIRE_READ)));
    EXPECT_EQ(status[1], 0);
    EXPECT_EQ(status[2], 0);
    EXPECT_EQ(adopted, 2U);
}

TEST_F(SessionTest, AnImagesBlobIsOpenedAgainByItsDigest)
{
    link();
    const auto id = blob("registry/app:latest", true);
    std::optional<int> status;
    (void)read(id, status);
    const auto open = must_send(SLUICE_WIRE_OPEN_IMAGE);
    EXPECT_EQ(open.name, "registry/app:latest");
    ASSERT_TRUE(answer_open(open, 1));
    session.disconnected(now, -ECONNRESET);
    link();
    EXPECT_EQ(must_send(SLUICE_WIRE_OPEN_BLOB).name.substr(0, 11), "sha256:aaaa");
}

TEST_F(SessionTest, IdleBlobsAreNotOpenedAgainUntilTheyAreRead)
{
    link();
    const auto id = blob();
    std::optional<int> opened;
    (void)session.open(id, now + seconds{1}, [&](int how) { opened = how; });
    ASSERT_TRUE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 1));
    EXPECT_FALSE(send());
    EXPECT_EQ(opened, 0);
    session.disconnected(now, -ECONNRESET);
    EXPECT_FALSE(session.wants_connection());
    EXPECT_FALSE(session.wake_at());
}

TEST_F(SessionTest, AttemptsToConnectGrowApartUntilAnAnswerComes)
{
    std::optional<int> status;
    (void)read(blob(), status);
    milliseconds last{0};
    for (int i = 0; i < 10; ++i) {
        session.disconnected(now, -ECONNREFUSED);
        const auto delay = std::chrono::duration_cast<milliseconds>(session.connect_at() - now);
        EXPECT_GE(delay, last);
        EXPECT_GT(delay, milliseconds{0});
        EXPECT_LE(delay, milliseconds{500});
        last = delay;
    }
    EXPECT_EQ(last, milliseconds{500});
    link(); // a daemon that dies after HELLO each time is not hammered
    session.disconnected(now, -ECONNRESET);
    EXPECT_EQ(session.connect_at() - now, milliseconds{500});
    link();
    ASSERT_TRUE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 1));
    session.disconnected(now, -ECONNRESET);
    EXPECT_LT(session.connect_at() - now, milliseconds{500});
    EXPECT_FALSE(status);
}

TEST_F(SessionTest, WhatIsOverdueEndsAndIsCancelledInTheDaemon)
{
    link();
    std::optional<int> sent;
    std::optional<int> waiting;
    const auto id = blob();
    (void)read(id, sent, seconds{5});
    (void)read(id, waiting, seconds{9});
    ASSERT_TRUE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 1));
    const auto first = must_send(SLUICE_WIRE_READ);
    EXPECT_EQ(session.wake_at(), now + seconds{5});
    session.expire(now + seconds{5});
    EXPECT_EQ(sent, -ETIMEDOUT);
    EXPECT_FALSE(waiting);
    const auto cancel = must_send(SLUICE_WIRE_CANCEL);
    EXPECT_EQ(cancel.target, first.id);
    EXPECT_TRUE(answer(first, -ECANCELED)); // and ends nothing a second time
    EXPECT_TRUE(answer(cancel));
}

TEST_F(SessionTest, TheDaemonsLimitIsKept)
{
    link(2);
    const auto id = blob();
    std::vector<std::optional<int>> status(4);
    for (auto& one : status) {
        (void)read(id, one);
    }
    ASSERT_TRUE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 1));
    const auto first = must_send(SLUICE_WIRE_READ);
    (void)must_send(SLUICE_WIRE_READ);
    EXPECT_FALSE(send());
    ASSERT_TRUE(answer(first));
    (void)must_send(SLUICE_WIRE_READ);
    EXPECT_FALSE(send());
}

TEST_F(SessionTest, AnOpenThatFailsEndsItsReadsAndIsTriedAgainByTheNext)
{
    link();
    const auto id = blob();
    std::optional<int> first;
    (void)read(id, first);
    ASSERT_TRUE(answer(must_send(SLUICE_WIRE_OPEN_BLOB), -ENOENT));
    EXPECT_EQ(first, -ENOENT);
    std::optional<int> second;
    (void)read(id, second);
    EXPECT_TRUE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 1));
}

TEST_F(SessionTest, ABlobThatIsNotTheSameAnyMoreEndsItsReadsAndIsClosed)
{
    link();
    std::optional<int> status;
    (void)read(blob(), status);
    adopt_status = -ESTALE;
    ASSERT_TRUE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 9));
    EXPECT_EQ(status, -ESTALE);
    EXPECT_EQ(must_send(SLUICE_WIRE_CLOSE).target, 9U);
}

TEST_F(SessionTest, ARemovedBlobIsClosedAlsoWhenItsOpenIsUnderWay)
{
    link();
    const auto open_one = blob();
    std::optional<int> status;
    (void)read(open_one, status);
    ASSERT_TRUE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 1));
    session.remove_blob(open_one);
    EXPECT_EQ(status, -ECANCELED);
    EXPECT_EQ(must_send(SLUICE_WIRE_CLOSE).target, 1U);

    const auto asked = blob();
    std::optional<int> other;
    (void)read(asked, other);
    const auto open = must_send(SLUICE_WIRE_OPEN_BLOB);
    session.remove_blob(asked);
    EXPECT_EQ(other, -ECANCELED);
    ASSERT_TRUE(answer_open(open, 2));
    EXPECT_EQ(must_send(SLUICE_WIRE_CLOSE).target, 2U);
    EXPECT_EQ(adopted, 1U);
}

TEST_F(SessionTest, ARefusalEndsEverything)
{
    std::optional<int> greeted;
    std::optional<int> status;
    (void)session.greet(now + seconds{9}, true, [&](int how) { greeted = how; });
    (void)read(blob(), status);
    session.connected();
    EXPECT_FALSE(answer(must_send(SLUICE_WIRE_HELLO), -EACCES));
    EXPECT_EQ(greeted, -EACCES);
    EXPECT_EQ(status, -EACCES);
}

TEST_F(SessionTest, ABusyDaemonIsAskedAgain)
{
    std::optional<int> status;
    (void)read(blob(), status);
    session.connected();
    EXPECT_FALSE(answer(must_send(SLUICE_WIRE_HELLO), -EBUSY));
    session.disconnected(now, -EPROTO);
    EXPECT_FALSE(status);
    EXPECT_TRUE(session.wants_connection());
}

TEST_F(SessionTest, WithoutPatienceTheFirstFailureIsTheAnswer)
{
    std::optional<int> eager;
    std::optional<int> patient;
    (void)session.greet(now + seconds{9}, false, [&](int how) { eager = how; });
    (void)session.greet(now + seconds{9}, true, [&](int how) { patient = how; });
    session.disconnected(now, -ENOENT);
    EXPECT_EQ(eager, -ENOENT);
    EXPECT_FALSE(patient);
    link();
    EXPECT_EQ(patient, 0);
}

TEST_F(SessionTest, AnswersThatNobodyAskedForEndTheConnection)
{
    link();
    EXPECT_FALSE(answer(Sent{SLUICE_WIRE_READ, 4711, 0, {}}));
    std::optional<int> status;
    (void)read(blob(), status);
    auto open = must_send(SLUICE_WIRE_OPEN_BLOB);
    auto other = open;
    other.opcode = SLUICE_WIRE_READ;
    EXPECT_FALSE(answer(other)); // of another kind than the question
    EXPECT_FALSE(status);
}

TEST_F(SessionTest, AnOpenedBlobWithoutADescriptorEndsTheConnection)
{
    link();
    std::optional<int> status;
    (void)read(blob(), status);
    EXPECT_FALSE(answer_open(must_send(SLUICE_WIRE_OPEN_BLOB), 1, 0xaa, false));
    session.disconnected(now, -EPROTO);
    EXPECT_FALSE(status); // asked again later
}

} // namespace
} // namespace sluice::lib
