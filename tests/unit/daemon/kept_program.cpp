// SPDX-License-Identifier: Apache-2.0
// What the keeper's tests have kept: it counts its lives in a descriptor that it hands on, and writes down what happens
// to it. `kept_program MODE FILE`.
#include "base/event_loop.hpp"
#include "base/fd_store.hpp"
#include "base/watchdog.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace {

using namespace sluice;

void write_down(const char* file, const std::string& line)
{
    const UniqueFd out{kAdoptFd, ::open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
    const auto text = line + "\n";
    if (::write(out.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        std::abort();
    }
}

std::string environment(const char* name)
{
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe)
    return value == nullptr ? "nothing" : value;
}

int count_life(FdStore& descriptors)
{
    int life = 0;
    auto note = descriptors.take("life");
    if (note && ::pread(note.get(), &life, sizeof life, 0) == sizeof life) {
        ++life;
    } else {
        note = UniqueFd{kAdoptFd, ::memfd_create("life", MFD_CLOEXEC)};
        if (!descriptors.keep("life", note.get())) {
            std::abort();
        }
    }
    if (::pwrite(note.get(), &life, sizeof life, 0) != sizeof life) {
        std::abort();
    }
    return life;
}

} // namespace

int main(int, char** argv)
{
    const std::string mode = argv[1];
    const char* file = argv[2];
    const auto names = environment("LISTEN_FDNAMES");
    auto descriptors = FdStore::from_environment();
    if (mode == "broken") {
        write_down(file, "born");
        return 3;
    }
    const int life = count_life(descriptors);
    EventLoop loop;
    const SignalSource end{loop, SIGINT, [&] {
                               write_down(file, "ended");
                               descriptors.forget("life");
                               loop.exit(0);
                           }};
    std::unique_ptr<Watchdog> watchdog;
    const auto go = [&] {
        write_down(file, "left");
        loop.exit(0);
    };
    Timer slowly{loop, go, "the end that takes long"};
    const SignalSource leave{loop, SIGTERM, [&] {
                                 if (mode == "hung") {
                                     return;
                                 }
                                 loop.notify("STOPPING=1");
                                 if (mode == "slow") {
                                     watchdog.reset();
                                     slowly.arm(milliseconds{1'000});
                                 } else if (mode != "deaf") {
                                     go();
                                 }
                             }};
    if (mode != "starving" || life > 0) {
        watchdog = std::make_unique<Watchdog>(loop, [] { return true; });
    }
    loop.notify("READY=1\nSTATUS=serving");
    write_down(
        file, fmt::format("life {} of {} with {} told at {}", life, ::getpid(), names, environment("NOTIFY_SOCKET"))
    );
    return loop.run();
}
