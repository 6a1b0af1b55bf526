// SPDX-License-Identifier: Apache-2.0
//
// A world whose daemon serves libsluice. The client's calls block, so they run on threads while the loop turns.
#pragma once

#include "lib/sluice_client.h"
#include "tests/integration/daemon_world.hpp"

#include <stdexcept>

namespace sluice::daemon {

struct ClientCloser {
    void operator()(sluice_client* client) const { sluice_close(client); }
};

struct BlobCloser {
    void operator()(sluice_blob* blob) const { sluice_blob_close(blob); }
};

using ClientPtr = std::unique_ptr<sluice_client, ClientCloser>;
using BlobPtr = std::unique_ptr<sluice_blob, BlobCloser>;

/// A world with one published image, whose blob clients read.
struct Library : World {
    Library() : report{publish("good.key")}, digest{report.layers[0].digest}, size{report.layers[0].erofs_size}
    {
        content = slurp(published(digest)).substr(0, size);
    }

    /// Runs what blocks on a thread, while the daemon works.
    template <typename F>
    auto away(F call)
    {
        auto done = std::async(std::launch::async, std::move(call));
        EXPECT_TRUE(test::run_until(loop, [&] { return done.wait_for(milliseconds{0}) == std::future_status::ready; }));
        return done.get();
    }

    [[nodiscard]] std::string socket() const { return (dir.path() / "blobs.sock").string(); }

    std::pair<int, ClientPtr> connect(std::int64_t timeout_ms = 30'000)
    {
        return away([&] {
            sluice_options options = SLUICE_OPTIONS_INIT;
            const auto path = socket();
            options.socket_path = path.c_str();
            options.timeout_ms = timeout_ms;
            sluice_client* client = nullptr;
            const int status = sluice_connect(&options, &client);
            return std::pair{status, ClientPtr{client}};
        });
    }

    std::pair<int, BlobPtr> open_blob(const ClientPtr& client, const std::string& name)
    {
        return away([&] {
            sluice_blob* blob = nullptr;
            const int status = sluice_blob_open(client.get(), name.c_str(), &blob);
            return std::pair{status, BlobPtr{blob}};
        });
    }

    std::pair<ssize_t, std::string> read(const BlobPtr& blob, std::uint64_t offset, std::size_t count)
    {
        return away([&] {
            std::string bytes(count, '?');
            const auto got = sluice_pread(blob.get(), bytes.data(), count, static_cast<std::int64_t>(offset));
            bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
            return std::pair{got, bytes};
        });
    }

    tools::PublishReport report;
    Digest digest;
    std::uint64_t size;
    std::string content;
};

/// The same with its image registered and its blob open.
struct OpenedLibrary : Library {
    explicit OpenedLibrary(std::int64_t timeout_ms = 30'000)
    {
        start();
        if (add_image().first != 200) {
            throw std::runtime_error{"the image cannot be registered"};
        }
        auto connected = connect(timeout_ms);
        client = std::move(connected.second);
        auto opened = client ? open_blob(client, digest.to_string()) : std::pair{connected.first, BlobPtr{}};
        blob = std::move(opened.second);
        if (!blob) {
            throw std::runtime_error{"the blob cannot be opened: " + std::to_string(opened.first)};
        }
    }

    ClientPtr client;
    BlobPtr blob;
};

} // namespace sluice::daemon
