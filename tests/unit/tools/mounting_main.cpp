// SPDX-License-Identifier: Apache-2.0
// A main of its own: what these tests mount is never seen outside, and does not outlive the process.
#include "tools/mount_table.hpp"

#include <cstdio>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace {

/// A copy of another program's mount keeps its file system alive after that program has unmounted it. One that serves
/// FUSE files would wait for us.
void leave_fuse_to_others()
{
    const auto table = sluice::tools::read_mount_table();
    if (!table) {
        return;
    }
    for (auto entry = table->rbegin(); entry != table->rend(); ++entry) {
        if (entry->fs_type.starts_with("fuse")) {
            (void)::umount2(entry->mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
        }
    }
}

} // namespace

int main(int argc, char** argv)
{
    ::testing::InitGoogleTest(&argc, argv);
    if (::geteuid() == 0) {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
            std::puts("no mount namespace of our own to be had: skipped");
            return 77;
        }
        leave_fuse_to_others();
    }
    return RUN_ALL_TESTS();
}
