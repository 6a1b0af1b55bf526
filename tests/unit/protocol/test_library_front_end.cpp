// SPDX-License-Identifier: Apache-2.0
// The library socket's daemon side against clients that do not behave. The well-behaved one is in tests/integration.
#include "tests/unit/protocol/socket_fixture.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice::protocol {
namespace {

TEST_F(LibraryFrontEndTest, AnOpenedBlobComesWithAReadOnlyDescriptor)
{
    start();
    RawClient client{config_.socket};
    client.hello();
    EXPECT_EQ(wait(client).status, 0);
    client.send(sluice_wire_open{{SLUICE_WIRE_OPEN_IMAGE, 0, 2}, 0, 0}, "image");
    const auto answer = wait(client);
    ASSERT_EQ(answer.status, 0);
    ASSERT_TRUE(answer.fd);
    EXPECT_EQ(::fcntl(answer.fd.get(), F_GETFL) & O_ACCMODE, O_RDONLY);

    struct stat info {};

    EXPECT_EQ(::fstat(answer.fd.get(), &info), 0);
    EXPECT_EQ(static_cast<std::uint64_t>(info.st_size), kSize);
    EXPECT_EQ(info.st_mode & 0777U, 0600U); // so that nobody reopens it for writing
}

TEST_F(LibraryFrontEndTest, AReadIsAnsweredWithItsOutcome)
{
    start();
    const auto client = opened();
    const std::pair<Result<void>, int> outcomes[] = {
        {Result<void>{}, 0},
        {fail(ErrorKind::kNoSpace, "the cache is full"), -ENOSPC},
        {fail(ErrorKind::kTimeout, "too late"), -ETIMEDOUT},
        {fail(ErrorKind::kCorrupt, "not what was signed"), -EBADMSG},
        {fail(ErrorKind::kNotFound, "nobody has it"), -ENODATA},
        {fail(ErrorKind::kTransient, "down"), -EIO},
    };
    std::uint32_t id = 3;
    for (const auto& [outcome, status] : outcomes) {
        client->read(id, 1, 4096, 8192);
        ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.reads.size() == 1; }));
        auto request = std::move(handler_.reads.back());
        handler_.reads.clear();
        request.pending.complete(outcome);
        const auto answer = wait(*client);
        EXPECT_EQ(answer.id, id++);
        EXPECT_EQ(answer.status, status);
    }
}

TEST_F(LibraryFrontEndTest, EachOpeningIsAnObjectOfItsOwn)
{
    start();
    auto first = opened();
    auto second = opened();
    EXPECT_EQ(handler_.count("open " + kCookie), 2U);
    first.reset();
    EXPECT_TRUE(test::run_until(*loop_, [&] { return handler_.closed.size() == 1; }));
    second->close(9, 1);
    EXPECT_EQ(wait(*second).status, 0);
    EXPECT_TRUE(test::run_until(*loop_, [&] { return handler_.closed.size() == 2; }));
}

TEST_F(LibraryFrontEndTest, AClientThatLeavesTakesAllThatIsItsWithIt)
{
    start();
    handler_.drop_reads_on_close = true;
    auto client = opened();
    client->read(3, 1, 0);
    ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.reads.size() == 1; }));
    client.reset();
    EXPECT_TRUE(test::run_until(*loop_, [&] { return handler_.closed.size() == 1; }));
    EXPECT_TRUE(handler_.reads.empty());
    EXPECT_EQ(device_->socket_stats().open_objects, 0U);
}

TEST_F(LibraryFrontEndTest, ACancelledReadIsAnsweredAtOnceAndOnce)
{
    start();
    const auto client = opened();
    client->read(3, 1, 0);
    ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.reads.size() == 1; }));
    client->cancel(4, 3);
    EXPECT_EQ(wait(*client).status, -ECANCELED);
    EXPECT_EQ(wait(*client).status, 0);
    client->cancel(5, 3);
    EXPECT_EQ(wait(*client).status, -ENOENT);
    client->read(3, 1, 8192); // the id is free again; the old READ's answer is not this one's
    ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.reads.size() == 2; }));
    for (auto& request : std::exchange(handler_.reads, {})) {
        request.pending.complete({});
    }
    const auto answer = wait(*client);
    EXPECT_EQ(answer.id, 3U);
    EXPECT_EQ(answer.status, 0);
    EXPECT_FALSE(client->receive());
}

TEST_F(LibraryFrontEndTest, RequestsThatCannotBeServedGetTheirErrno)
{
    start();
    const auto client = opened();
    const auto status = [&] { return wait(*client).status; };
    client->open(3, *Digest::parse("sha256:" + std::string(64, '0')));
    EXPECT_EQ(status(), -ENOENT);
    client->send(sluice_wire_open{{SLUICE_WIRE_OPEN_IMAGE, 0, 4}, 1, 0}, "image");
    EXPECT_EQ(status(), -ENOENT);
    client->read(5, 99, 0);
    EXPECT_EQ(status(), -EBADF);
    client->read(6, 1, kSize);
    EXPECT_EQ(status(), -EINVAL);
    client->read(7, 1, 0, config_.limits.read + 1ULL);
    EXPECT_EQ(status(), -EINVAL);
    client->close(8, 99);
    EXPECT_EQ(status(), -EBADF);
    EXPECT_EQ(handler_.reads.size(), 0U);
}

TEST_F(LibraryFrontEndTest, ABlobThatTheCoreRefusesIsRefused)
{
    handler_.accept_size.reset();
    start();
    RawClient client{config_.socket};
    client.hello();
    EXPECT_EQ(wait(client).status, 0);
    client.open(2, kBlob);
    ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.opens.size() == 1; }));
    handler_.opens.front().pending.reject(Error::from_errno(EACCES, "refused"));
    EXPECT_EQ(wait(client).status, -EACCES);
    EXPECT_EQ(device_->socket_stats().open_objects, 0U);
}

TEST_F(LibraryFrontEndTest, AClientThatIsGoneWhenItsBlobIsOpenLeavesNothingOpen)
{
    handler_.accept_size.reset();
    start();
    auto client = std::make_unique<RawClient>(config_.socket);
    client->hello();
    EXPECT_EQ(wait(*client).status, 0);
    client->open(2, kBlob);
    ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.opens.size() == 1; }));
    client.reset();
    ASSERT_TRUE(test::run_until(*loop_, [&] { return device_->socket_stats().connected == 0; }));
    auto request = std::move(handler_.opens.front());
    handler_.opens.clear();
    request.pending.accept({kSize, kBlob, handler_.open_file(kCookie)});
    EXPECT_TRUE(test::run_until(*loop_, [&] { return handler_.closed.size() == 1; }));
    EXPECT_EQ(device_->socket_stats().open_objects, 0U);
}

TEST_F(LibraryFrontEndTest, ABrokenMessageEndsTheConnectionAndNoOther)
{
    start();
    const auto good = opened();
    const std::string garbage[] = {"x", std::string(SLUICE_WIRE_MAX, '\xff'), std::string(SLUICE_WIRE_MAX + 1, 'x')};
    for (const auto& bytes : garbage) {
        const auto bad = opened();
        bad->send_raw(std::as_bytes(std::span{bytes}));
        EXPECT_EQ(wait(*bad).status, 1);
    }
    RawClient early{config_.socket};
    early.open(1, kBlob);
    EXPECT_EQ(wait(early).status, 1);
    const auto twice = opened();
    twice->hello();
    EXPECT_EQ(wait(*twice).status, 1);
    const auto doubled = opened();
    doubled->read(3, 1, 0);
    doubled->read(3, 1, 0);
    EXPECT_EQ(wait(*doubled).status, 1);
    EXPECT_EQ(device_->socket_stats().malformed, 6U);
    EXPECT_TRUE(test::run_until(*loop_, [&] { return device_->socket_stats().connected == 1; }));
    good->close(4, 1);
    EXPECT_EQ(wait(*good).status, 0);
}

TEST_F(LibraryFrontEndTest, AnotherVersionIsToldSo)
{
    start();
    RawClient client{config_.socket};
    client.send(sluice_wire_hello{{SLUICE_WIRE_HELLO, 0, 1}, SLUICE_WIRE_MAGIC, 2, 7});
    EXPECT_EQ(wait(client).status, -EPROTONOSUPPORT);
    EXPECT_EQ(wait(client).status, 1);
}

TEST_F(LibraryFrontEndTest, MoreThanTheLimitIsBusyAndTheRestGoesOn)
{
    config_.limits.requests = 3;
    start();
    const auto client = opened();
    for (std::uint32_t id = 10; id < 14; ++id) {
        client->read(id, 1, 0);
    }
    const auto refused = wait(*client);
    EXPECT_EQ(refused.id, 13U);
    EXPECT_EQ(refused.status, -EBUSY);
    EXPECT_EQ(handler_.reads.size(), 3U);
    for (auto& request : std::exchange(handler_.reads, {})) {
        request.pending.complete({});
    }
    EXPECT_EQ(wait(*client).status, 0);
}

TEST_F(LibraryFrontEndTest, TooManyOpenBlobsAreRefused)
{
    config_.limits.objects = 2;
    start();
    const auto client = opened();
    client->open(3, kBlob);
    EXPECT_EQ(wait(*client).status, 0);
    client->open(4, kBlob);
    EXPECT_EQ(wait(*client).status, -EMFILE);
}

TEST_F(LibraryFrontEndTest, AClientThatDoesNotReadIsCutOffAndCostsNobodyElse)
{
    config_.patience = milliseconds{50};
    start();
    const auto deaf = opened();
    const int flags = ::fcntl(deaf->fd(), F_GETFL);
    ASSERT_EQ(::fcntl(deaf->fd(), F_SETFL, flags | O_NONBLOCK), 0);
    const sluice_wire_object cancel{{SLUICE_WIRE_CANCEL, sizeof cancel, 7}, 1, 0};
    // Until neither direction takes any more, and then until its patience is over.
    EXPECT_TRUE(test::run_until(*loop_, [&] {
        while (::send(deaf->fd(), &cancel, sizeof cancel, MSG_NOSIGNAL) > 0) {
        }
        return device_->socket_stats().stalled == 1;
    }));
    EXPECT_TRUE(test::run_until(*loop_, [&] { return device_->socket_stats().connected == 0; }));
    (void)opened();
}

TEST_F(LibraryFrontEndTest, AClientThatNeverSaysHelloIsCutOff)
{
    config_.patience = milliseconds{20};
    start();
    RawClient silent{config_.socket};
    EXPECT_EQ(wait(silent).status, 1);
}

TEST_F(LibraryFrontEndTest, TooManyClientsAreToldSo)
{
    config_.max_clients = 2;
    start();
    const auto first = opened();
    const auto second = opened();
    RawClient third{config_.socket};
    third.hello();
    EXPECT_EQ(wait(third).status, -EBUSY);
}

TEST_F(LibraryFrontEndTest, DescriptorsThatAClientSendsAreNotKept)
{
    start();
    const auto client = opened();
    const auto before = test::count_open_fds();
    sluice_wire_object cancel{{SLUICE_WIRE_CANCEL, sizeof cancel, 7}, 1, 0};
    iovec part{&cancel, sizeof cancel};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    auto* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    const int zero = 0;
    std::memcpy(CMSG_DATA(item), &zero, sizeof zero);
    ASSERT_GT(::sendmsg(client->fd(), &header, 0), 0);
    EXPECT_EQ(wait(*client).status, -ENOENT);
    EXPECT_EQ(test::count_open_fds(), before);
}

TEST_F(LibraryFrontEndTest, OnlyTheOwnerReachesTheSocketUnlessAGroupIsNamed)
{
    start();

    struct stat info {};

    ASSERT_EQ(::stat(config_.socket.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    device_.reset();
    EXPECT_FALSE(std::filesystem::exists(config_.socket));
    config_.groups = {::getegid()};
    start();
    ASSERT_EQ(::stat(config_.socket.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0660U);
    EXPECT_EQ(info.st_gid, ::getegid());
}

TEST_F(LibraryFrontEndTest, AStaleSocketIsReplacedAndALiveOneIsNot)
{
    start();
    LibraryFrontEnd second{*loop_, *workers_, config_, {}, descriptors_};
    const auto refused = second.start(handler_);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text().find("another sluiced"), std::string::npos);
    device_.reset();
    {
        const UniqueFd left{kAdoptFd, ::socket(AF_UNIX, SOCK_SEQPACKET, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        config_.socket.native().copy(address.sun_path, sizeof address.sun_path - 1);
        const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
        ASSERT_EQ(::bind(left.get(), generic, sizeof address), 0);
    }
    start();
    (void)opened();
}

TEST_F(LibraryFrontEndTest, StoppingEndsTheConnectionsSoThatClientsAskTheSuccessor)
{
    start();
    const auto client = opened();
    client->read(3, 1, 0);
    ASSERT_TRUE(test::run_until(*loop_, [&] { return handler_.reads.size() == 1; }));
    device_->stop();
    const auto last = client->receive();
    ASSERT_TRUE(last);
    EXPECT_EQ(last->status, 1); // and no EIO before
}

} // namespace
} // namespace sluice::protocol
