// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "protocol/block_io.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <sys/statvfs.h>
#include <sys/types.h>

namespace sluice::protocol {

/// The system calls between the cachefiles device and the kernel, so that a fake kernel can stand behind them.
/// Numbers are as from system calls, with -errno for failures. Must outlive the device and all of its object handles.
class KernelIo {
public:
    KernelIo() = default;
    KernelIo(const KernelIo&) = delete;
    KernelIo& operator=(const KernelIo&) = delete;
    virtual ~KernelIo() = default;

    /// The device, close-on-exec; or -errno. Only one opener is allowed in the whole system.
    [[nodiscard]] virtual int open_device() = 0;

    /// One message; 0 when there is none at the moment. Never blocks once bound.
    [[nodiscard]] virtual ssize_t read(int device, std::span<std::byte> buffer) = 0;

    /// One command. 0 or -errno.
    [[nodiscard]] virtual int write(int device, std::string_view command) = 0;

    /// Takes ownership of a descriptor number that an OPEN brought, after proving that it is one of cachefiles', and
    /// makes it close-on-exec. Anything else is refused and left alone: the number might be somebody else's.
    [[nodiscard]] virtual Result<UniqueFd> adopt_object(int fd) = 0;

    /// 0 or -errno; -EINVAL means that the kernel knows no such request (any more).
    [[nodiscard]] virtual int read_complete(int object, MessageId message) = 0;

    /// Where the object's backing file ends; -ENOBUFS while the kernel does not have it open. Never blocks.
    [[nodiscard]] virtual off_t end(int object) = 0;

    /// The next four are called from workers too.
    [[nodiscard]] virtual ssize_t pwrite(int object, std::span<const std::byte> data, std::uint64_t offset) = 0;
    /// Where the first hole at or behind `offset` begins (the end of the file is one); or -errno.
    [[nodiscard]] virtual off_t first_hole(int object, std::uint64_t offset) = 0;
    [[nodiscard]] virtual FileRun probe(int object, std::uint64_t offset, std::uint64_t length) = 0;

    /// The file system that `path` is on. 0 or -errno.
    [[nodiscard]] virtual int space(const std::string& path, struct statvfs& out) = 0;
};

/// The real one. Thread-safe.
class SyscallKernelIo final : public KernelIo {
public:
    explicit SyscallKernelIo(std::string device_path = "/dev/cachefiles") : device_path_{std::move(device_path)} {}

    [[nodiscard]] int open_device() override;
    [[nodiscard]] ssize_t read(int device, std::span<std::byte> buffer) override;
    [[nodiscard]] int write(int device, std::string_view command) override;
    [[nodiscard]] Result<UniqueFd> adopt_object(int fd) override;
    [[nodiscard]] int read_complete(int object, MessageId message) override;
    [[nodiscard]] off_t end(int object) override;
    [[nodiscard]] ssize_t pwrite(int object, std::span<const std::byte> data, std::uint64_t offset) override;
    [[nodiscard]] off_t first_hole(int object, std::uint64_t offset) override;
    [[nodiscard]] FileRun probe(int object, std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] int space(const std::string& path, struct statvfs& out) override;

private:
    std::string device_path_;
};

/// Says whether a link of /proc/PID/fd is a cachefiles object's.
[[nodiscard]] bool is_object_link(std::string_view link) noexcept;

} // namespace sluice::protocol
