// SPDX-License-Identifier: Apache-2.0
#include "base/unique_fd.hpp"
#include "tests/support/temp_dir.hpp"
#include "tools/passphrase.hpp"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <thread>
#include <unistd.h>

namespace sluice::tools {

namespace {

/// A terminal, and the one who sits there.
class Terminal {
public:
    Terminal() : master_{kAdoptFd, ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)}
    {
        std::array<char, 64> name{};
        EXPECT_EQ(::grantpt(master_.get()), 0);
        EXPECT_EQ(::unlockpt(master_.get()), 0);
        EXPECT_EQ(::ptsname_r(master_.get(), name.data(), name.size()), 0);
        name_ = name.data();
        keep_ = UniqueFd{kAdoptFd, ::open(name_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)};
    }

    /// Answers the prompt with `keys`.
    Result<trust::Secret> ask(const std::string& keys)
    {
        std::optional<Result<trust::Secret>> answer;
        std::thread asker{[&] { answer.emplace(ask_passphrase("team.key", name_.c_str())); }};
        read_until("team.key: ");
        EXPECT_EQ(::write(master_.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
        asker.join();
        read_until("\n");
        return std::move(*answer);
    }

    [[nodiscard]] const std::string& shown() const noexcept { return shown_; }

    [[nodiscard]] bool echoes() const
    {
        termios now{};
        EXPECT_EQ(::tcgetattr(keep_.get(), &now), 0);
        return (now.c_lflag & (ECHO | ICANON | ISIG)) == (ECHO | ICANON | ISIG);
    }

private:
    void read_until(std::string_view what)
    {
        std::array<char, 256> piece{};
        while (shown_.find(what) == std::string::npos) {
            const auto count = ::read(master_.get(), piece.data(), piece.size());
            ASSERT_GT(count, 0);
            shown_.append(piece.data(), static_cast<std::size_t>(count));
        }
    }

    UniqueFd master_;
    UniqueFd keep_; // or the terminal would be gone when nobody has it open
    std::string name_;
    std::string shown_;
};

} // namespace

TEST(Passphrase, IsAskedForWithoutShowingIt)
{
    Terminal terminal;
    const auto answer = terminal.ask("correct\n");
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_EQ(answer->view(), "correct");
    EXPECT_EQ(terminal.shown(), "Passphrase of key team.key: \r\n");
    EXPECT_TRUE(terminal.echoes()) << "the terminal is as it was";
}

TEST(Passphrase, CanBeEditedAndRefused)
{
    EXPECT_EQ(
        Terminal{}
            .ask("wrong\x15"
                 "corrx\x7f"
                 "ect\r")
            ->view(),
        "correct"
    );
    for (const auto* keys : {"corr\x03", "\x04"}) {
        Terminal terminal;
        const auto answer = terminal.ask(keys);
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().kind(), ErrorKind::kCancelled);
        EXPECT_TRUE(terminal.echoes());
    }
}

TEST(Passphrase, WithoutATerminalTheTextNamesTheOption)
{
    const auto answer = ask_passphrase("team.key", "/nowhere/tty");
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().text().find("--key-passphrase-file"), std::string::npos);
}

TEST(Passphrase, IsTheFirstLineOfAPrivateFile)
{
    const test::TempDir dir;
    for (const auto* text : {"correct", "correct\n", "correct\r\nmore\n"}) {
        const auto read = read_passphrase(dir.write_private("pass", text).string());
        ASSERT_TRUE(read) << read.error().text();
        EXPECT_EQ(read->view(), "correct");
    }
    EXPECT_FALSE(read_passphrase(dir.write_private("empty", "\ncorrect\n").string()));
    const auto open = read_passphrase(dir.write("open", "correct").string());
    ASSERT_FALSE(open);
    EXPECT_NE(open.error().text().find("chmod 600"), std::string::npos) << open.error().text();
    EXPECT_FALSE(read_passphrase((dir.path() / "none").string()));
}

TEST(CoreDumps, AreForbidden)
{
    const pid_t child = ::fork();
    if (child == 0) {
        forbid_core_dumps();
        rlimit limit{1, 1};
        const bool good = ::getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0 &&
                          ::prctl(PR_GET_DUMPABLE) == 0;
        ::_exit(good ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

} // namespace sluice::tools
