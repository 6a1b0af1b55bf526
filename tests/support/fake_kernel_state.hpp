// SPDX-License-Identifier: Apache-2.0
//
// The inside of FakeKernel; tests use fake_kernel.hpp.
#pragma once

#include "base/mutex.hpp"
#include "protocol/kernel_io.hpp"
#include "protocol/uapi.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::test {

struct FakeKernelOptions {
    bool direct_io = false; ///< backing files with O_DIRECT, as the real kernel's
    bool ondemand = true;   ///< false: a kernel built without the mode
    bool restore = true;    ///< false: one without the command
    bool reuse_ids = false; ///< the lowest free message id is taken, as before CVE-2024-41050
    int open_error = 0;     ///< errno for opening the device
    bool keep_commands = true;
};

enum class FakeObjectState : std::uint8_t { kOpening, kOpen, kReopening, kFailed, kClosed };

struct FakeKernelCounts {
    std::uint64_t completes = 0;       ///< READ_COMPLETE that were taken
    std::uint64_t stale_completes = 0; ///< those that got EINVAL
    std::uint64_t writes = 0;
    std::uint64_t bytes_written = 0;
    std::uint64_t bad_writes = 0; ///< unaligned ones, and those to an object that is not open
    std::size_t waiting = 0;      ///< requests that are not answered, at this moment
};

struct FakeRequest;
using FakeRequestPtr = std::shared_ptr<FakeRequest>;

struct FakeObject {
    std::string volume;
    std::string cookie;
    std::filesystem::path file;
    FakeObjectState state = FakeObjectState::kOpening;
    int error = 0;
    std::uint64_t size = 0;
    std::uint32_t id = protocol::uapi::kNoObject;
    int fd = -1;                          ///< a number of the daemon's; not ours
    UniqueFd own;                         ///< for probing as the kernel does
    std::vector<FakeRequestPtr> withheld; ///< READs that wait for a reopening
    std::function<void(std::vector<std::byte>&)> spoil;
    int read_failure = 0;
};

using FakeObjectPtr = std::shared_ptr<FakeObject>;

struct FakeRequest {
    std::uint32_t message = 0;
    std::uint32_t opcode = 0;
    FakeObjectPtr object;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    bool delivered = false;
    std::atomic<int> result{-1}; ///< errno or 0; -1 while it waits
};

class FakeKernelState final : public protocol::KernelIo {
public:
    FakeKernelState(std::filesystem::path directory, FakeKernelOptions options);
    ~FakeKernelState() override = default;

    // The daemon's side, fake_kernel_io.cpp.
    [[nodiscard]] int open_device() override;
    [[nodiscard]] ssize_t read(int device, std::span<std::byte> buffer) override;
    [[nodiscard]] int write(int device, std::string_view command) override;
    [[nodiscard]] Result<UniqueFd> adopt_object(int fd) override;
    [[nodiscard]] int read_complete(int object, MessageId message) override;
    [[nodiscard]] off_t end(int object) override;
    [[nodiscard]] ssize_t pwrite(int object, std::span<const std::byte> data, std::uint64_t offset) override;
    [[nodiscard]] off_t first_hole(int object, std::uint64_t offset) override;
    [[nodiscard]] protocol::FileRun probe(int object, std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] int space(const std::string& path, struct statvfs& out) override;

    // The kernel's side, fake_kernel.cpp; all with the mutex held.
    FakeRequestPtr enqueue(std::uint32_t opcode, const FakeObjectPtr& object, ByteRange range = {})
        SLUICE_REQUIRES(mutex);
    /// What a datagram is; its last byte, which the daemon never sees.
    enum class Kind : std::uint8_t { kMessage, kRaw, kNothing, kError };

    void send(const FakeRequest& request) SLUICE_REQUIRES(mutex);
    void send_bytes(std::span<const std::byte> bytes, Kind kind) SLUICE_REQUIRES(mutex);
    void flush_backlog() SLUICE_REQUIRES(mutex);
    void finish(const FakeRequestPtr& request, int result) SLUICE_REQUIRES(mutex);
    void fail_all(const FakeObjectPtr& object, std::uint32_t opcode, int result) SLUICE_REQUIRES(mutex);
    void refresh(const FakeObjectPtr& object)
        SLUICE_REQUIRES(mutex); ///< notices that the daemon has closed the descriptor
    [[nodiscard]] bool alive(const FakeObjectPtr& object) const SLUICE_REQUIRES(mutex);
    [[nodiscard]] std::uint32_t next_message_id() SLUICE_REQUIRES(mutex);
    [[nodiscard]] FakeObjectPtr by_fd(int fd) const SLUICE_REQUIRES(mutex);
    void die(int code) SLUICE_REQUIRES(mutex);

    // fake_kernel_commands.cpp; 0 or -errno, with the mutex held.
    [[nodiscard]] int run_command(const std::string& text) SLUICE_REQUIRES(mutex);

    std::filesystem::path directory;
    FakeKernelOptions options;
    mutable Mutex mutex;
    Condition changed;
    UniqueFd kernel_end SLUICE_GUARDED_BY(mutex);
    std::deque<std::vector<std::byte>> backlog SLUICE_GUARDED_BY(mutex); ///< what the socket had no room for
    std::unordered_map<std::uint32_t, FakeRequestPtr> requests SLUICE_GUARDED_BY(mutex);
    std::unordered_map<int, FakeObjectPtr> by_number SLUICE_GUARDED_BY(mutex
    ); ///< who was given this descriptor number last
    std::vector<std::string> commands SLUICE_GUARDED_BY(mutex);
    FakeKernelCounts counts SLUICE_GUARDED_BY(mutex);
    std::vector<FakeObjectPtr> objects SLUICE_GUARDED_BY(mutex); ///< all that were ever opened
    std::map<std::string, int> failing_commands SLUICE_GUARDED_BY(mutex);
    std::function<std::int64_t(std::uint64_t, std::size_t)> pwrite_hook SLUICE_GUARDED_BY(mutex);
    std::function<void()> busy_hook SLUICE_GUARDED_BY(mutex);
    std::uint32_t next_message SLUICE_GUARDED_BY(mutex) = 0;
    std::uint32_t next_object SLUICE_GUARDED_BY(mutex) = 1;
    int free_per_cent SLUICE_GUARDED_BY(mutex) = -1;
    bool dead SLUICE_GUARDED_BY(mutex) = false;

    // What has been configured.
    std::string dir SLUICE_GUARDED_BY(mutex);
    std::string tag SLUICE_GUARDED_BY(mutex);
    std::string secctx SLUICE_GUARDED_BY(mutex);
    std::array<unsigned, 6> limits SLUICE_GUARDED_BY(mutex){7, 5, 1, 7, 5, 1}; ///< brun bcull bstop frun fcull fstop
    bool bound SLUICE_GUARDED_BY(mutex) = false;
    bool mode_ondemand SLUICE_GUARDED_BY(mutex) = false;

private:
    void requeue(std::vector<std::byte> message) SLUICE_REQUIRES(mutex);
    [[nodiscard]] int deliver_open(const FakeRequestPtr& request, std::vector<std::byte>& message)
        SLUICE_REQUIRES(mutex);
    [[nodiscard]] int deliver(std::vector<std::byte>& message) SLUICE_REQUIRES(mutex);
    [[nodiscard]] int copen(std::string_view arguments) SLUICE_REQUIRES(mutex);
    void opened(const FakeObjectPtr& object, std::uint64_t size) SLUICE_REQUIRES(mutex);
    [[nodiscard]] int restore() SLUICE_REQUIRES(mutex);
    [[nodiscard]] int set_limit(std::string_view word, std::string_view argument) SLUICE_REQUIRES(mutex);
    [[nodiscard]] int bind(std::string_view argument) SLUICE_REQUIRES(mutex);
    [[nodiscard]] int cull(const std::string& name, bool remove) SLUICE_REQUIRES(mutex);
};

} // namespace sluice::test
