// SPDX-License-Identifier: Apache-2.0
//
// Can this machine serve? Each question is a probe of its own, whose answer says what to do.
#pragma once

#include "base/result.hpp"
#include "protocol/kernel_io.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::protocol {

enum class ProbeStatus : std::uint8_t { kOk, kWarning, kFailed };

struct ProbeResult {
    std::string name; ///< one word, stable
    ProbeStatus status = ProbeStatus::kOk;
    std::string text;   ///< what was found
    std::string advice; ///< what to do; empty when all is well
};

/// "ok    device      /dev/cachefiles is there"; one line.
[[nodiscard]] std::string to_line(const ProbeResult& result);

struct ProbeConfig {
    std::filesystem::path cache_dir;
    std::string tag = "sluice";
    std::filesystem::path proc = "/proc";
    std::filesystem::path boot = "/boot";
};

/// Has the kernel cachefiles' on-demand mode, for us? In the order in which faults should be mended. Opens the device
/// for a moment, without binding a cache: do not call it in a process that serves.
[[nodiscard]] std::vector<ProbeResult> probe_cachefiles(KernelIo& io, const ProbeConfig& config);

/// Can blobs be files of a FUSE file system, and EROFS be mounted on those? Opens /dev/fuse for a moment, mounts
/// nothing.
[[nodiscard]] std::vector<ProbeResult> probe_fuse(const ProbeConfig& config);

/// What every front end needs of the machine: EROFS, the page size, and a file system for the cache.
[[nodiscard]] std::vector<ProbeResult> probe_common(const ProbeConfig& config);

struct DeviceHolder {
    int pid = 0;
    std::string command;
};

/// Processes that have the device, or an object of it, open; needs root to see those of others.
[[nodiscard]] std::vector<DeviceHolder> find_holders(const std::filesystem::path& proc);

/// What a failed opening of the device means, for the operator.
[[nodiscard]] ProbeResult explain_open_error(int code, const std::vector<DeviceHolder>& holders);

/// What a failed `bind ondemand` means.
[[nodiscard]] ProbeResult explain_bind_error(int code, const std::string& cache_dir);

/// A probe's bad news as an error.
[[nodiscard]] Error to_error(const ProbeResult& result, int code);

/// "y", "m" or "n" for `option` in the text of a kernel configuration; nothing when it does not say.
[[nodiscard]] std::optional<char> kernel_option(std::string_view config, std::string_view option);

/// Whether /proc/filesystems lists `name`.
[[nodiscard]] bool lists_filesystem(std::string_view filesystems, std::string_view name);

/// Can backing files live here? (file system kind, writable, O_TMPFILE, attributes, O_DIRECT, exact holes, block size)
[[nodiscard]] std::vector<ProbeResult> probe_cache_dir(const std::filesystem::path& directory);

/// The verdict on a file system's statfs(2) magic number.
[[nodiscard]] ProbeResult judge_filesystem(std::uint64_t magic, const std::string& directory);

} // namespace sluice::protocol
