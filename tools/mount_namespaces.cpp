// SPDX-License-Identifier: Apache-2.0
#include "tools/mount_namespaces.hpp"

#include "base/text.hpp"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <linux/capability.h>
#include <optional>
#include <set>
#include <string_view>
#include <sys/stat.h>
#include <tuple>

namespace sluice::tools {

namespace {

/// What two processes with the same view of the mounts have in common.
using View = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;

/// Nothing when the process has ended, or forbids to be looked into even by us (PID 1 of some sandboxes). A layer that
/// only such a one holds is unmounted here and lives on there; were it an error, no layer would ever be released on
/// such a machine. Any other failure is one: it may hide a user of a layer.
Result<std::optional<View>> view_of(const std::string& process)
{
    struct statx ns {};

    struct statx root {};

    // Without asking a server anything: a root directory on a dead NFS must not hold us up.
    if (::statx(AT_FDCWD, (process + "/ns/mnt").c_str(), AT_STATX_DONT_SYNC, STATX_INO, &ns) != 0 ||
        ::statx(AT_FDCWD, (process + "/root").c_str(), AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &root) != 0) {
        if (errno == ENOENT || errno == ESRCH || errno == EACCES || errno == EPERM) {
            return std::optional<View>{};
        }
        return fail_errno(errno, process);
    }
    return std::optional{View{ns.stx_ino, root.stx_mnt_id, root.stx_ino}};
}

} // namespace

Result<std::vector<MountTable>> read_all_mount_tables(const std::string& proc)
{
    std::vector<MountTable> tables;
    std::set<View> seen;
    const auto own = view_of(proc + "/self");
    if (!own) {
        return fail(own.error());
    }
    if (*own) {
        seen.insert(**own);
    }
    auto own_table = read_mount_table(proc + "/self/mountinfo");
    if (!own_table) {
        return fail(std::move(own_table).error());
    }
    tables.push_back(std::move(*own_table));

    std::error_code error;
    std::filesystem::directory_iterator processes{proc, error};
    if (error) {
        return fail_errno(error.value(), proc);
    }
    for (; processes != std::filesystem::directory_iterator{}; processes.increment(error)) {
        if (error) {
            return fail_errno(error.value(), proc);
        }
        const auto name = processes->path().filename().string();
        if (!parse_u64(name)) {
            continue;
        }
        const std::string process = fmt::format("{}/{}", proc, name);
        const auto view = view_of(process);
        if (!view) {
            return fail(view.error());
        }
        if (!*view || seen.contains(**view)) {
            continue;
        }
        auto table = read_mount_table(process + "/mountinfo");
        if (table) {
            seen.insert(**view);
            tables.push_back(std::move(*table));
        } else if (const auto still = view_of(process); !still || *still) {
            // It lives and hides its mounts: whoever decides by them must know.
            return fail(std::move(table).error());
        }
    }
    return tables;
}

bool sees_all_processes(const std::string& status)
{
    constexpr std::string_view kEffective = "CapEff:";
    std::ifstream lines{status};
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with(kEffective)) {
            const auto digits = std::string{trim(std::string_view{line}.substr(kEffective.size()))};
            return (std::strtoull(digits.c_str(), nullptr, 16) >> CAP_SYS_PTRACE & 1U) != 0;
        }
    }
    return false;
}

} // namespace sluice::tools
