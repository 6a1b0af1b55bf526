// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.hpp"
#include "base/fd_store.hpp"
#include "protocol/command.hpp"
#include "protocol/device_setup.hpp"
#include "protocol/front_end.hpp"
#include "protocol/front_end_stats.hpp"
#include "protocol/kernel_io.hpp"
#include "protocol/message.hpp"
#include "protocol/read_ledger.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::protocol {

class ObjectFd;
class OpenObjects;

/// The front end over /dev/cachefiles. All calls on the loop's thread. The device, and when which READ came, are taken
/// from `descriptors` where a predecessor has left them, and kept there. Where nobody keeps them, destroying this
/// closes the device, which ends every mount that it serves.
class CachefilesFrontEnd final : public FrontEnd {
public:
    CachefilesFrontEnd(EventLoop& loop, KernelIo& io, DeviceConfig config, FdStore& descriptors);
    ~CachefilesFrontEnd() override;

    /// Opens, configures and binds (or takes up the adopted descriptor), then delivers. The error says what to do.
    [[nodiscard]] Result<void> start(RequestHandler& handler) override;
    void stop() override;
    /// As the interface has it; nothing is answered any more either, so that the successor is asked again.
    void leave() override;

    [[nodiscard]] Capabilities capabilities() const override;
    [[nodiscard]] FrontEndStats stats() const override;

    /// By the kernel, which knows what it has open.
    [[nodiscard]] Result<void> remove(const std::filesystem::path& file) override;

    /// The device's descriptor once started, -1 before; for a descriptor store.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    /// Whether the kernel re-delivers unanswered requests to a successor of this process.
    [[nodiscard]] bool can_restore() const noexcept { return can_restore_; }

private:
    [[nodiscard]] Result<BoundDevice> set_up();
    [[nodiscard]] Result<BoundDevice> bind_anew();
    void open_ledger(const BoundDevice& bound);
    void forget(); ///< a successor finds nothing
    [[nodiscard]] Result<std::shared_ptr<ObjectFd>> adopt(int descriptor) const;
    bool drain(); ///< false when there was nothing
    [[nodiscard]] bool take_one();
    [[nodiscard]] bool on_read_error(int code);
    void dispatch(OpenMessage message);
    void dispatch(const ReadMessage& message);
    void dispatch(const CloseMessage& message);
    void dispatch(const BadMessage& bad);
    void pause();
    void watch();
    void lost(const Error& why);
    void complain_once(std::string_view kind, const std::string& text);

    EventLoop& loop_;
    KernelIo& io_;
    DeviceConfig config_;
    FdStore& descriptors_;
    RequestHandler* handler_ = nullptr;
    bool can_restore_ = false;
    std::uint32_t binding_ = 0; ///< mounts that show another one are not served
    bool turn_was_useful_ = false;
    bool lost_ = false;
    FrontEndStats stats_;
    std::set<std::string, std::less<>> complained_;
    std::vector<std::byte> buffer_;
    UniqueFd fd_;
    std::optional<ReadLedger> ledger_;          // where somebody keeps it
    std::shared_ptr<CachefilesFrontEnd*> self_; // what deferred calls hold weakly
    std::shared_ptr<OpenObjects> objects_;      // the Answerer of everything delivered
    Timer resume_;
    std::unique_ptr<IoSource> source_; // last: its callback touches all of the above
};

} // namespace sluice::protocol
