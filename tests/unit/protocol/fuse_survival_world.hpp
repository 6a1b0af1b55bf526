// SPDX-License-Identifier: Apache-2.0
//
// A FUSE file system that is served by one after the other, and readers that must not notice. The test's process plays
// the keeper of the descriptors. Readers and servers that die are processes of their own; those of them that wait for
// the file system hold no descriptor of it, or nothing could end it while they wait.
#pragma once

#include "protocol/fuse_front_end.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/kept_descriptors.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sluice::protocol {

inline constexpr std::uint64_t kSurvivalSize = 64 * kBlockSize;

/// What block `index` of every blob consists of.
inline char survival_byte(std::uint64_t index)
{
    return static_cast<char>('a' + index % 26);
}

class FuseSurvivalTest : public ::testing::Test {
protected:
    /// One who serves: a front end with all that it stands on.
    struct Server {
        explicit Server(FuseSurvivalTest& world);

        ~Server()
        {
            handler.opens.clear();
            handler.reads.clear();
        }

        /// READs get what they ask for from now on, and `before` is called before each.
        void serve(std::function<void()> before = {})
        {
            handler.serve_read = [this, first = std::move(before)](ReadRequest request) {
                if (first) {
                    first();
                }
                answer(std::move(request));
            };
        }

        void answer(ReadRequest request);

        EventLoop loop;
        FdStore store;
        RecordingHandler handler;
        WorkerPool workers{2};
        std::unique_ptr<FuseFrontEnd> front_end;
    };

    void SetUp() override;

    void TearDown() override;

    [[nodiscard]] std::filesystem::path base() const { return dir_.path() / "mounts"; }

    /// Somebody new serves, in this process. What a predecessor left is its own.
    Server& start();

    /// Whoever serves in this process ends, and leaves everything to its successor.
    void leave()
    {
        server_->front_end->leave();
        server_.reset();
    }

    /// A process that runs `work` and ends with its result.
    pid_t fork_child(const std::function<int()>& work);

    /// A process that opens the blob and reads its block `index`: its status is 0 if that was right, or an errno.
    pid_t read_elsewhere(std::uint64_t index);

    /// A process that serves as start() does, until it ends itself: `prepare` says how.
    pid_t serve_elsewhere(const std::function<void(Server&)>& prepare);

    /// A process that takes the next request, whatever it is, does `use`, and is dead.
    void take_and_die(const std::function<void(FuseChannel&, std::size_t slot)>& use = {});

    [[nodiscard]] UniqueFd duplicate(std::string_view name) const
    {
        return UniqueFd{kAdoptFd, ::fcntl(kept_.of(name), F_DUPFD_CLOEXEC, 0)};
    }

    [[nodiscard]] Result<FuseState> adopt_state() const { return FuseState::adopt(duplicate(FuseFrontEnd::kState)); }

    /// Waits until a child sleeps in the kernel because of an open().
    static void await_open(pid_t child);

    /// Waits for a child, which does not need this process to end.
    int status_of(pid_t child);

    /// Serves until a reader has ended: its status, 0 if it has read what it should.
    int result_of(pid_t reader);

    /// Serves until nothing is open.
    void expect_all_closed();

    test::TempDir dir_;
    std::filesystem::path blobs_dir_ = base(); ///< as it is configured
    std::string blob_ = std::string(64, 'b');
    std::string path_;
    milliseconds read_deadline_{30'000};
    KeptDescriptors kept_;
    std::optional<Server> server_;
    std::vector<pid_t> children_;
    bool runs_ = false;
};

} // namespace sluice::protocol
