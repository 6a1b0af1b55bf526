// SPDX-License-Identifier: Apache-2.0
//
// Reads one file, or one blob through libsluice, and prints how fast that was: the yardstick of
// tests/native/measure-reads.sh, the same for every way to the same bytes.
#include "lib/sluice_client.h"
#include "tests/bench/workload.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace sluice::bench {
namespace {

struct Options {
    std::string file;
    std::string blob;
    std::string socket;
    std::uint64_t length = 128U << 10;
    unsigned readers = 1;
    std::size_t reads = 0;
};

using Read = std::function<bool(ByteRange)>;

/// What is read, by any number of threads at once.
struct Subject {
    std::uint64_t size = 0;
    std::function<ssize_t(void*, std::size_t, std::int64_t)> pread;
};

Subject open_file(const Options& options)
{
    const int fd = ::open(options.file.c_str(), O_RDONLY | O_CLOEXEC);

    struct stat status {};

    if (fd < 0 || ::fstat(fd, &status) != 0) {
        throw std::system_error{errno, std::system_category(), options.file};
    }
    ::posix_fadvise(fd, 0, 0, options.reads > 0 ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
    return {static_cast<std::uint64_t>(status.st_size), [fd](void* buffer, std::size_t count, std::int64_t at) {
                return ::pread(fd, buffer, count, at);
            }};
}

Subject open_blob(const Options& options)
{
    sluice_options how = SLUICE_OPTIONS_INIT;
    how.socket_path = options.socket.c_str();
    sluice_client* client = nullptr;
    if (const int error = ::sluice_connect(&how, &client); error != 0) {
        throw std::system_error{-error, std::system_category(), options.socket};
    }
    sluice_blob* blob = nullptr;
    if (const int error = ::sluice_blob_open(client, options.blob.c_str(), &blob); error != 0) {
        throw std::system_error{-error, std::system_category(), options.blob};
    }
    if (options.reads > 0) {
        ::posix_fadvise(::sluice_blob_fd(blob), 0, 0, POSIX_FADV_RANDOM);
    }
    return {::sluice_blob_size(blob), [blob](void* buffer, std::size_t count, std::int64_t at) {
                return ::sluice_pread(blob, buffer, count, at);
            }};
}

/// A reader with a buffer of its own.
Read reader_of(const Subject& subject, std::size_t length)
{
    return [&subject, buffer = std::make_shared<std::vector<char>>(length)](ByteRange range) {
        const ssize_t got = subject.pread(buffer->data(), range.size(), static_cast<std::int64_t>(range.begin()));
        return got == static_cast<ssize_t>(range.size());
    };
}

int measure(const Options& options)
{
    const auto subject = options.file.empty() ? open_blob(options) : open_file(options);
    const auto plan = options.reads > 0 ? random(subject.size, options.readers, options.length, options.reads)
                                        : sequential(subject.size, options.readers, options.length);
    const auto outcome = run(plan, [&] { return reader_of(subject, options.length); });
    fmt::print(
        "{:.0f} {:.0f} {:.0f} {:.0f}\n",
        outcome.mib_per_second(),
        static_cast<double>(outcome.latencies.size()) / outcome.seconds,
        outcome.percentile(50),
        outcome.percentile(99)
    );
    if (outcome.failures > 0) {
        fmt::print(stderr, "measured-reads: {} of {} reads failed\n", outcome.failures, outcome.latencies.size());
    }
    return outcome.failures > 0 ? 1 : 0;
}

} // namespace
} // namespace sluice::bench

int main(int argc, char** argv)
{
    sluice::bench::Options options;
    CLI::App app{"Reads a file, or a blob through libsluice. Prints: MiB/s, reads a second, and median and 99th "
                 "percentile of a read's microseconds."};
    auto* const file = app.add_option("--file", options.file, "the file to read");
    auto* const blob = app.add_option("--blob", options.blob, "digest of the blob to read")->excludes(file);
    app.add_option("--socket", options.socket, "the daemon's library socket")->needs(blob);
    app.add_option("--length", options.length, "bytes of each read")->capture_default_str();
    app.add_option("--readers", options.readers, "threads")->capture_default_str();
    app.add_option("--random", options.reads, "read this many pieces at random places, not all in order");
    CLI11_PARSE(app, argc, argv);
    try {
        return sluice::bench::measure(options);
    } catch (const std::exception& error) {
        fmt::print(stderr, "measured-reads: {}\n", error.what());
        return 1;
    }
}
