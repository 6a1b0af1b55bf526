// SPDX-License-Identifier: Apache-2.0
// A main of its own: what these tests mount is never seen outside, and does not outlive the process.
#include <cstdio>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

int main(int argc, char** argv)
{
    ::testing::InitGoogleTest(&argc, argv);
    if (::geteuid() == 0 &&
        (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)) {
        std::puts("no mount namespace of our own to be had: skipped");
        return 77;
    }
    return RUN_ALL_TESTS();
}
