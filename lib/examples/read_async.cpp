// SPDX-License-Identifier: Apache-2.0
//
// Reads the pieces of a layer of a registered image in an event loop, 16 at a time, and prints a sum of their bytes:
//
//     c++ -std=c++20 read_async.cpp $(pkg-config --cflags --libs sluice) -o read_async
//     ./read_async registry.example/team/app:1.4
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <numeric>
#include <poll.h>
#include <sluice_client.h>
#include <system_error>
#include <vector>

namespace {

struct Close {
    void operator()(sluice_client* client) const { sluice_close(client); }

    void operator()(sluice_blob* blob) const { sluice_blob_close(blob); }
};

struct Piece {
    std::vector<unsigned char> bytes = std::vector<unsigned char>(256 * 1024);
    std::int64_t offset = 0;
};

int complain(const char* what, std::int64_t error)
{
    std::fprintf(stderr, "%s: %s\n", what, std::generic_category().message(static_cast<int>(-error)).c_str());
    return 1;
}

} // namespace

int main(int argc, char** argv)
{
    if (argc < 2 || argc > 3) {
        std::fprintf(stderr, "usage: %s REF [SOCKET]\n", argv[0]);
        return 2;
    }
    sluice_options options = SLUICE_OPTIONS_INIT;
    options.socket_path = argc == 3 ? argv[2] : nullptr;
    sluice_client* connected = nullptr;
    if (const int status = sluice_connect(&options, &connected); status != 0) {
        return complain("cannot connect to sluiced", status);
    }
    const std::unique_ptr<sluice_client, Close> client{connected};
    sluice_blob* opened = nullptr;
    if (const int status = sluice_image_open(client.get(), argv[1], 0, 0, &opened); status != 0) {
        return complain(argv[1], status);
    }
    std::array<Piece, 16> pieces; // before the blob: it lives until nothing is read into it any more
    std::unique_ptr<sluice_blob, Close> blob{opened};

    const auto size = static_cast<std::int64_t>(sluice_blob_size(blob.get()));
    std::int64_t next = 0;
    unsigned under_way = 0;
    std::uint64_t sum = 0;
    std::int64_t error = 0;
    const auto submit = [&](Piece& piece) {
        if (next >= size || error != 0) {
            return;
        }
        piece.offset = next;
        error = sluice_submit_pread(blob.get(), piece.bytes.data(), piece.bytes.size(), next, &piece, nullptr);
        if (error == 0) {
            next += static_cast<std::int64_t>(piece.bytes.size());
            ++under_way;
        }
    };
    for (auto& piece : pieces) {
        submit(piece);
    }
    while (under_way > 0) { // any event loop: the descriptor is readable when something has completed
        pollfd ready{sluice_event_fd(client.get()), POLLIN, 0};
        (void)poll(&ready, 1, -1);
        std::array<sluice_completion, 8> done{};
        const int count = sluice_reap(client.get(), done.data(), done.size());
        for (int i = 0; i < count; ++i) {
            --under_way;
            auto& piece = *static_cast<Piece*>(done[static_cast<std::size_t>(i)].user);
            const auto got = done[static_cast<std::size_t>(i)].result;
            const auto wanted = std::min(static_cast<std::int64_t>(piece.bytes.size()), size - piece.offset);
            if (got != wanted) { // less than was asked for: the rest could not be had
                error = got < 0 ? got : -5;
                continue;
            }
            sum = std::accumulate(piece.bytes.begin(), piece.bytes.begin() + got, sum);
            submit(piece);
        }
    }
    if (error != 0) {
        return complain(argv[1], error);
    }
    std::printf("%" PRIu64 "\n", sum);
    return 0;
}
