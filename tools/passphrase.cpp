// SPDX-License-Identifier: Apache-2.0
#include "tools/passphrase.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

namespace sluice::tools {

namespace {

/// What OpenSSL's callback has room for.
constexpr std::size_t kLongest = 1024;

/// While it lives the terminal hands over each key as it is pressed, those of signals too, and shows none.
class SilentTerminal {
public:
    explicit SilentTerminal(int fd) : fd_{fd}, known_{::tcgetattr(fd, &before_) == 0}
    {
        if (known_) {
            termios silent = before_;
            silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
            silent.c_cc[VMIN] = 1;
            silent.c_cc[VTIME] = 0;
            (void)::tcsetattr(fd, TCSAFLUSH, &silent);
        }
    }

    SilentTerminal(const SilentTerminal&) = delete;
    SilentTerminal& operator=(const SilentTerminal&) = delete;

    ~SilentTerminal()
    {
        if (known_) {
            (void)::tcsetattr(fd_, TCSAFLUSH, &before_);
        }
    }

private:
    int fd_;
    termios before_{};
    bool known_;
};

void say(int fd, std::string_view text) noexcept
{
    (void)!::write(fd, text.data(), text.size());
}

/// Up to the end of the line. False: the user does not want to.
bool read_line(int fd, trust::Secret& line)
{
    constexpr char kCtrlC = 3;
    constexpr char kCtrlD = 4;
    constexpr char kBackspace = 8;
    constexpr char kCtrlU = 21;
    constexpr char kDelete = 127;
    for (char key = 0;;) {
        const auto count = ::read(fd, &key, 1);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0 || key == kCtrlC || key == kCtrlD) {
            return false;
        }
        if (key == '\n' || key == '\r') {
            return true;
        }
        if (key == kBackspace || key == kDelete) {
            line.truncate(line.view().size() - std::min<std::size_t>(1, line.view().size()));
        } else if (key == kCtrlU) {
            line.truncate(0);
        } else if (!line.append({&key, 1})) {
            return false; // nobody has one so long
        }
    }
}

} // namespace

Result<trust::Secret> read_passphrase(const std::string& file)
{
    auto text = trust::read_secret_file(file, fmt::format("passphrase file {}", printable(file)));
    if (!text) {
        return text;
    }
    const auto end = text->view().find_first_of("\r\n");
    text->truncate(std::min(end, text->view().size()));
    if (text->empty()) {
        return fail(ErrorKind::kInvalid, fmt::format("passphrase file {}: its first line is empty", printable(file)));
    }
    return text;
}

Result<trust::Secret> ask_passphrase(const std::string& key_name, const char* terminal)
{
    const UniqueFd tty{kAdoptFd, ::open(terminal, O_RDWR | O_NOCTTY | O_CLOEXEC)};
    if (!tty) {
        return fail(
            ErrorKind::kDenied,
            fmt::format(
                "key {}: it is encrypted, and there is no terminal to ask for its passphrase; use "
                "--key-passphrase-file FILE",
                printable(key_name)
            )
        );
    }
    trust::Secret line{kLongest};
    bool answered = false;
    {
        const SilentTerminal silent{tty.get()};
        say(tty.get(), fmt::format("Passphrase of key {}: ", printable(key_name)));
        answered = read_line(tty.get(), line);
        say(tty.get(), "\n");
    }
    if (!answered) {
        return fail(ErrorKind::kCancelled, fmt::format("key {}: no passphrase was given", printable(key_name)));
    }
    return line;
}

void forbid_core_dumps() noexcept
{
    constexpr rlimit kNone{0, 0};
    (void)::setrlimit(RLIMIT_CORE, &kNone);
    (void)::prctl(PR_SET_DUMPABLE, 0);
}

} // namespace sluice::tools
