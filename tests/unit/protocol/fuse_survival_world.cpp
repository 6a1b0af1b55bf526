// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/protocol/fuse_survival_world.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <fstream>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace sluice::protocol {

FuseSurvivalTest::Server::Server(FuseSurvivalTest& world) : store{world.kept_.store()}
{
    handler.accept_size = kSurvivalSize;
    handler.open_file = [&world](const std::string& cookie) {
        return FileHandle::open(world.dir_.path() / cookie, kSurvivalSize).value();
    };
    FuseConfig config;
    config.mount_base = world.blobs_dir_;
    config.volume = "erofs,dom0";
    config.contents.size_of = [&world](std::string_view name) {
        return name == world.blob_ ? std::optional{kSurvivalSize} : std::nullopt;
    };
    config.contents.cookies = [&world] { return std::vector<std::string>{world.blob_}; };
    config.read_deadline = world.read_deadline_;
    front_end = std::make_unique<FuseFrontEnd>(loop, workers, std::move(config), store);
}

void FuseSurvivalTest::Server::answer(ReadRequest request)
{
    const auto range = request.range.align_out(kBlockSize);
    for (auto at = range.begin(); at < range.end(); at += kBlockSize) {
        auto block = filled(kBlockSize, survival_byte(at / kBlockSize));
        ASSERT_TRUE(handler.handles.at(request.object)->write(at, block.bytes()));
    }
    request.pending.complete({});
}

void FuseSurvivalTest::SetUp()
{
    if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0) {
        GTEST_SKIP() << "needs root and /dev/fuse";
    }
    // Nobody else meets what nobody serves.
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        GTEST_SKIP() << "needs a mount namespace of its own";
    }
    ::alarm(60); // a reader that hangs fails the test; whoever it started dies with it
    runs_ = true;
}

void FuseSurvivalTest::TearDown()
{
    if (!runs_) {
        return;
    }
    for (const auto child : children_) {
        ::kill(child, SIGKILL);
    }
    server_.reset();
    kept_.clear(); // the last descriptor of the connection: what waits for it ends
    for (const auto child : children_) {
        ::waitpid(child, nullptr, 0);
    }
    detach_stale_mounts(base());
    ::alarm(0);
}

FuseSurvivalTest::Server& FuseSurvivalTest::start()
{
    server_.emplace(*this);
    EXPECT_TRUE(server_->front_end->start(server_->handler));
    path_ = (server_->front_end->directory() / blob_).string();
    return *server_;
}

pid_t FuseSurvivalTest::fork_child(const std::function<int()>& work)
{
    const auto child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::_exit(work());
    }
    children_.push_back(child);
    return child;
}

pid_t FuseSurvivalTest::read_elsewhere(std::uint64_t index)
{
    return fork_child([this, index] {
        ::close_range(3, ~0U, 0); // no copy of the connection
        const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            return errno;
        }
        std::array<char, kBlockSize> bytes{};
        const auto got = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(index * kBlockSize));
        const int code = errno;
        ::close(fd);
        if (got < 0) {
            return code;
        }
        const auto right = std::all_of(bytes.begin(), bytes.end(), [&](char c) { return c == survival_byte(index); });
        return got == std::ssize(bytes) && right ? 0 : 255;
    });
}

pid_t FuseSurvivalTest::serve_elsewhere(const std::function<void(Server&)>& prepare)
{
    return fork_child([this, prepare] {
        Server server{*this};
        prepare(server);
        if (!server.front_end->start(server.handler)) {
            return 1;
        }
        while (true) {
            server.loop.run_once(std::chrono::seconds{1});
        }
    });
}

void FuseSurvivalTest::take_and_die(const std::function<void(FuseChannel&, std::size_t slot)>& use)
{
    const auto child = fork_child([this, use] {
        FuseChannel channel{duplicate(FuseFrontEnd::kConnection), std::move(adopt_state()).value()};
        pollfd watched{channel.descriptor(), POLLIN, 0};
        ::poll(&watched, 1, -1);
        const auto got = channel.read({});
        if (use && got.outcome == FuseChannel::Outcome::kRequest) {
            use(channel, got.slot);
        }
        return ::raise(SIGKILL);
    });
    EXPECT_TRUE(WIFSIGNALED(status_of(child)));
}

void FuseSurvivalTest::await_open(pid_t child)
{
    const auto path = fmt::format("/proc/{}/syscall", child);
    const auto wanted = fmt::format("{} ", SYS_openat); // a task that runs has no number there
    for (std::string text; !text.starts_with(wanted); std::getline(std::ifstream{path}, text)) {
        ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "it did not wait";
    }
}

int FuseSurvivalTest::status_of(pid_t child)
{
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    std::erase(children_, child);
    return status;
}

int FuseSurvivalTest::result_of(pid_t reader)
{
    int status = -1;
    EXPECT_TRUE(test::run_until(server_->loop, [&] { return ::waitpid(reader, &status, WNOHANG) == reader; }));
    std::erase(children_, reader);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void FuseSurvivalTest::expect_all_closed()
{
    EXPECT_TRUE(test::run_until(server_->loop, [&] { return server_->front_end->stats().open_objects == 0; }));
    const auto state = std::move(adopt_state()).value();
    EXPECT_TRUE(state.openings().empty());
    // A worker frees its slot after the reader has its answer.
    EXPECT_TRUE(test::run_until(server_->loop, [&] { return state.slots_in_use().empty(); }));
}

} // namespace sluice::protocol
