// SPDX-License-Identifier: Apache-2.0
//
// A kernel for tests and benchmarks: cachefiles' on-demand mode over a SOCK_SEQPACKET pair, so that epoll and "one
// message is one read" are the real thing, with backing files that are real files. It holds the daemon to the kernel's
// rules (commands, copen, alignment, whose descriptor answers what), emulates what readers see, and can misbehave.
//
// Thread-safe: readers may sit on threads of their own while the daemon's loop runs on another.
#pragma once

#include "base/byte_range.hpp"
#include "tests/support/fake_kernel_state.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sluice::test {

class FakeKernel {
public:
    /// Backing files are made below `directory`, which must exist. One of the same volume, key and size is found again,
    /// and one that the daemon has made where cachefiles keeps its files.
    explicit FakeKernel(std::filesystem::path directory, FakeKernelOptions options = {});
    FakeKernel(const FakeKernel&) = delete;
    FakeKernel& operator=(const FakeKernel&) = delete;
    ~FakeKernel();

    /// What the device under test gets for a kernel.
    [[nodiscard]] protocol::KernelIo& io() noexcept;

    // What mounts and readers do.

    /// Sends OPEN, and returns at once.
    FakeObjectPtr open_object(const std::string& volume, const std::string& cookie);
    /// Blocks until the OPEN is answered: 0, or the errno that it failed with. Not on the loop's thread.
    int wait_open(const FakeObjectPtr& object);

    /// Sends one READ for exactly `range`, hole or not, and returns at once. For an object whose descriptor was closed,
    /// the kernel asks for a new opening first.
    FakeRequestPtr read(const FakeObjectPtr& object, ByteRange range);
    /// Blocks until it is answered: 0 when there is data at the range's begin, else EIO.
    int wait(const FakeRequestPtr& request);
    /// What EROFS does for a reader: goes on in steps of the runs that are there or are missing. 0 or an errno.
    int read_blocking(const FakeObjectPtr& object, ByteRange range);
    /// SIGKILL to the reader: the kernel forgets the request.
    void kill_reader(const FakeRequestPtr& request);

    /// Umount: sends CLOSE where the object is open. Requests that wait are failed when the CLOSE is read.
    void close(const FakeObjectPtr& object);

    // State, at this moment.
    [[nodiscard]] FakeObjectState state(const FakeObjectPtr& object) const;
    [[nodiscard]] int open_error(const FakeObjectPtr& object) const;
    [[nodiscard]] std::uint64_t size(const FakeObjectPtr& object) const;
    [[nodiscard]] std::uint32_t object_id(const FakeObjectPtr& object) const; ///< of the present generation
    [[nodiscard]] bool descriptor_open(const FakeObjectPtr& object) const;
    [[nodiscard]] std::filesystem::path backing_file(const FakeObjectPtr& object) const;
    [[nodiscard]] bool done(const FakeRequestPtr& request) const noexcept;
    [[nodiscard]] int result(const FakeRequestPtr& request) const noexcept; ///< 0 or an errno, once done
    [[nodiscard]] std::vector<std::string> commands() const;
    [[nodiscard]] FakeKernelCounts counts() const;
    [[nodiscard]] bool bound() const;

    // Misbehaviour.
    /// Raw bytes as the next message.
    void send_raw(std::span<const std::byte> bytes);
    /// An OPEN with all of its bytes passed through `spoil` when it is delivered; its descriptor is real.
    FakeObjectPtr open_spoiled(
        const std::string& volume, const std::string& cookie, std::function<void(std::vector<std::byte>&)> spoil
    );
    /// The next generation's object id; two objects can be given the same.
    void force_next_object_id(std::uint32_t id);
    /// One read of the device fails so; with an object, that OPEN is consumed and failed by it.
    void fail_read(int code);
    FakeObjectPtr open_failing(const std::string& volume, const std::string& cookie, int code);
    /// A wakeup with nothing to read.
    void wake_for_nothing();
    /// Commands that begin with `prefix` fail with `code`; 0 ends that.
    void fail_command(const std::string& prefix, int code);
    /// Called when somebody opens the device while it is open; nullptr ends that.
    void on_busy(std::function<void()> hook);
    /// Called for each write to a backing file, before it; what is not 0 is its result. nullptr ends that.
    void on_pwrite(std::function<std::int64_t(std::uint64_t offset, std::size_t size)> hook);
    /// What statvfs tells of free blocks, in per cent; below 0: the truth.
    void set_free_per_cent(int per_cent);
    /// All later commands fail with EIO, and all that wait is failed.
    void kill_cache();
    /// The kernel's end of the device goes away, which a real one never does.
    void hang_up();

private:
    std::unique_ptr<FakeKernelState> state_;
};

} // namespace sluice::test
