#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --systemd
# systemd as PID 1: units can be started, and it waits for a Type=notify service.
. "$(dirname "$0")/lib.sh"
guest_only

expect_equal systemd "$(cat /proc/1/comm)" "PID 1"
cat >/run/systemd/system/notifier.service <<'UNIT'
[Service]
Type=notify
NotifyAccess=all
ExecStart=/bin/sh -c 'touch /run/notifier-began; systemd-notify --ready; exec sleep infinity'
UNIT
systemctl daemon-reload
systemctl start notifier
[ -e /run/notifier-began ] || die "the unit did not run"
expect_equal active "$(systemctl is-active notifier)" "the unit's state"
systemctl stop notifier
