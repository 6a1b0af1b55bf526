// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "protocol/cachefiles_front_end.hpp"
#include "tests/support/fake_kernel.hpp"
#include "tests/support/loop_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/protocol/recording_handler.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace sluice::protocol {

/// A device over a fake kernel, and a handler that keeps what comes. The loop and everything else die before the count
/// of descriptors is compared.
class DeviceTest : public test::FdLeakTest {
protected:
    static constexpr std::uint64_t kSize = 16 * kBlockSize;

    struct World {
        explicit World(test::FakeKernelOptions options) : kernel{dir.path(), options} {}

        test::TempDir dir;
        EventLoop loop;
        FdStore descriptors;
        test::FakeKernel kernel;
        RecordingHandler handler;
        std::unique_ptr<CachefilesFrontEnd> device;
    };

    void SetUp() override
    {
        FdLeakTest::SetUp();
        world_ = std::make_unique<World>(test::FakeKernelOptions{});
    }

    void TearDown() override
    {
        world_.reset();
        FdLeakTest::TearDown();
    }

    void remake(const test::FakeKernelOptions& options) { world_ = std::make_unique<World>(options); }

    [[nodiscard]] DeviceConfig config() const
    {
        DeviceConfig config;
        config.cache_dir = world_->dir.path();
        return config;
    }

    Result<void> start() { return start(config()); }

    Result<void> start(DeviceConfig config)
    {
        world_->device = std::make_unique<CachefilesFrontEnd>(
            world_->loop, world_->kernel.io(), std::move(config), world_->descriptors
        );
        return world_->device->start(world_->handler);
    }

    [[nodiscard]] bool until(const std::function<bool()>& condition) const
    {
        return test::run_until(world_->loop, condition);
    }

    /// An object that the core has accepted.
    test::FakeObjectPtr opened(const std::string& cookie = "blob")
    {
        world_->handler.accept_size = kSize;
        auto object = world_->kernel.open_object("erofs,test", cookie);
        EXPECT_TRUE(until([&] { return world_->kernel.state(object) == test::FakeObjectState::kOpen; }));
        return object;
    }

    std::unique_ptr<World> world_;
};

} // namespace sluice::protocol
