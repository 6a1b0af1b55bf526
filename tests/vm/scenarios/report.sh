#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A warning in the kernel's log that is announced is no fault; tests/vm/self-test holds the opposite.
. "$(dirname "$0")/lib.sh"
guest_only

expect_kernel 'WARNING: scenario report$'
echo 'WARNING: scenario report' >/dev/kmsg
dmesg | grep -q 'WARNING: scenario report' || die "the message is not in the kernel's log"
