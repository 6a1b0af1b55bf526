#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian's own kernels: what a guest of one offers, and that the daemon says what it lacks there instead of half working.
. "$(dirname "$0")/lib.sh"

case $(uname -r) in
*-ondemand) die "this is one of our own kernels" ;;
esac
[ -c /dev/fuse ] && [ -c /dev/loop-control ] || die "no FUSE or no loop devices"
for name in erofs fuse overlay ext4 xfs; do
    grep -qw $name /proc/filesystems || die "no $name"
done
[ ! -e /dev/cachefiles ] || die "Debian has cachefiles as a device now: the scenarios want another look"

say "check-system names what is missing"
printf 'dir %s\ntrusted-key %s\n' "$cache" "$keys/image.pub" >"$work/sluiced.conf"
"$build/daemon/sluiced" -f "$work/sluiced.conf" --check-system >"$work/report" 2>&1 || true
cat "$work/report"
expect_text "$work/report" '/dev/cachefiles cannot be opened.*CONFIG_CACHEFILES_ONDEMAND'
