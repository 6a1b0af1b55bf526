#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The guest itself: the device is there, and on-demand mode takes the commands that only it knows.
. "$(dirname "$0")/lib.sh"
guest_only

[ -c /dev/cachefiles ] || die "/dev/cachefiles is missing"

# Each printf is one write(2), and so one command.
exec {device}<>/dev/cachefiles
printf 'dir /cache' >&"$device"
printf 'tag scenario' >&"$device"
printf 'bind ondemand' >&"$device"
[ -d /cache/cache ] && [ -d /cache/graveyard ] || die "bind made no folders in /cache"
printf 'restore' >&"$device"
must_fail bash -c 'printf "no-such-command" >&"$1"' _ "$device"

must_fail bash -c 'exec 9<>/dev/cachefiles'
expect_text "$work/last-error" 'Device or resource busy'
exec {device}>&-
wait_for 10 "the device to be free again" bash -c 'exec 9<>/dev/cachefiles'
say "bind ondemand and restore work on $(uname -r)"
