// SPDX-License-Identifier: Apache-2.0
//
// library_reader SOCKET DIGEST EXPECTED READS GROUP: a program of an ordinary user. Gives up root for nobody and GROUP,
// then reads pieces of the blob on as many threads at once, and compares them with the file EXPECTED. 0: all are right;
// 1: one was not; 3: no connection, or no blob.
#include "lib/sluice_client.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <grp.h>
#include <iterator>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

int main(int argc, char** argv)
{
    if (argc != 6) {
        return 2;
    }
    std::ifstream file{argv[3], std::ios::binary};
    const std::string expected{std::istreambuf_iterator<char>{file}, {}};
    const auto group = static_cast<gid_t>(std::strtoul(argv[5], nullptr, 10));
    constexpr uid_t kNobody = 65534;
    if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(group) != 0 || setuid(kNobody) != 0)) {
        std::perror("cannot give up root");
        return 2;
    }
    sluice_options options = SLUICE_OPTIONS_INIT;
    options.socket_path = argv[1];
    options.timeout_ms = 120'000;
    sluice_client* client = nullptr;
    sluice_blob* blob = nullptr;
    int status = sluice_connect(&options, &client);
    if (status == 0) {
        status = sluice_blob_open(client, argv[2], &blob);
    }
    if (status != 0) {
        std::fprintf(stderr, "%s\n", std::strerror(-status));
        sluice_close(client);
        return 3;
    }
    const auto count = std::strtoul(argv[4], nullptr, 10);
    const auto step = sluice_blob_size(blob) / count;
    std::vector<ssize_t> results(count, -1);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
        threads.emplace_back([&, i] {
            std::string bytes(10'000, '?');
            const auto offset = i * step;
            const auto got = sluice_pread(blob, bytes.data(), bytes.size(), static_cast<std::int64_t>(offset));
            const auto wanted = expected.substr(offset, bytes.size());
            const bool right =
                got == static_cast<ssize_t>(wanted.size()) && bytes.compare(0, wanted.size(), wanted) == 0;
            results[i] = right ? 0 : got < 0 ? got : -1;
        });
    }
    int outcome = 0;
    for (std::size_t i = 0; i < count; ++i) {
        threads[i].join();
        if (results[i] != 0) {
            std::fprintf(stderr, "read %zu: %s\n", i, std::strerror(static_cast<int>(-results[i])));
            outcome = 1;
        }
    }
    sluice_blob_close(blob);
    sluice_close(client);
    return outcome;
}
