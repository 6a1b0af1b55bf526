// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "protocol/library_front_end.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/raw_client.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace sluice::protocol {

constexpr std::uint64_t kSize = 64 * 1024;
inline const std::string kCookie(64, 'c');
inline const Digest kBlob = *Digest::parse("sha256:" + std::string(64, 'b'));

class LibraryFrontEndTest : public test::FdLeakTest {
protected:
    void SetUp() override
    {
        FdLeakTest::SetUp();
        loop_.emplace();
        workers_.emplace(1);
        config_.socket = dir_.path() / "blobs.sock";
        handler_.accept_size = kSize;
        handler_.digest = kBlob;
        handler_.open_file = [this](const std::string& cookie) {
            return FileHandle::open(dir_.path() / cookie, kSize).value();
        };
    }

    void TearDown() override
    {
        device_.reset();
        handler_.reads.clear();
        handler_.handles.clear();
        workers_.reset();
        loop_.reset();
        FdLeakTest::TearDown();
    }

    void start()
    {
        SocketNames names;
        names.find_blob = [](const Digest& digest) -> Result<std::string> {
            return digest == kBlob ? Result<std::string>{kCookie} : fail_errno(ENOENT, "no such blob");
        };
        names.find_part = [](const std::string& reference, std::uint32_t layer, std::uint32_t) -> Result<std::string> {
            return reference == "image" && layer == 0 ? Result<std::string>{kCookie}
                                                      : fail_errno(ENOENT, "no such image");
        };
        device_.emplace(*loop_, *workers_, config_, std::move(names), descriptors_);
        const auto started = device_->start(handler_);
        ASSERT_TRUE(started) << started.error().text();
    }

    Answered wait(RawClient& client)
    {
        std::optional<Answered> answered;
        EXPECT_TRUE(test::run_until(*loop_, [&] {
            answered = client.receive();
            return answered.has_value();
        }));
        return answered ? std::move(*answered) : Answered{};
    }

    /// A client with the blob open as object 1.
    std::unique_ptr<RawClient> opened()
    {
        auto client = std::make_unique<RawClient>(config_.socket);
        client->hello();
        EXPECT_EQ(wait(*client).status, 0);
        client->open(2, kBlob);
        EXPECT_EQ(wait(*client).status, 0);
        return client;
    }

    test::TempDir dir_;
    std::optional<EventLoop> loop_;
    std::optional<WorkerPool> workers_;
    RecordingHandler handler_;
    LibraryFrontEnd::Config config_;
    FdStore descriptors_;
    std::optional<LibraryFrontEnd> device_;
};

} // namespace sluice::protocol
