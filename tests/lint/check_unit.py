#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds sluiced.service to what its comment promises: nothing that gives the service a mount namespace of its own, in which
its helpers' unmounts would not reach the host."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

UNSHARING = {
    "PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateIPC", "PrivateNetwork", "PrivateUsers", "ProtectSystem",
    "ProtectHome", "ProtectProc", "ProcSubset", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
    "ProtectControlGroups", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths",
    "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "RootDirectory", "RootImage", "MountAPIVFS", "MountFlags",
    "MountImages", "ExtensionImages", "ExtensionDirectories", "DynamicUser", "LogNamespace", "NetworkNamespacePath",
}  # fmt: skip
MOST_EXPOSED = 4.8  # of 10, as systemd-analyze reckons; the unit says what for
REFUSED_CALLS = {"process_vm_readv", "process_vm_writev", "@resources"}
DEVICES = {"/dev/cachefiles rw", "/dev/fuse rw"}
NEEDED = {
    "ProtectClock": "yes",
    "DevicePolicy": "closed",
    "Type": "notify",
    "NoNewPrivileges": "yes",
    "RuntimeDirectoryPreserve": "yes",
    "KillMode": "mixed",
    "Restart": "always",
    "FileDescriptorStoreMax": "16",
    "Environment": "FDSTORE=16",
    "KillSignal": "SIGINT",
    "RestartKillSignal": "SIGTERM",
    "LimitCORE": "0",
}


def exposure_faults(unit):
    """None where there is no systemd-analyze that can judge a file (from 250 on)."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return []
    done = subprocess.run([program, "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if found is None or float(found[1]) <= MOST_EXPOSED:
        return []
    return [f"systemd-analyze security counts {found[1]}, more than {MOST_EXPOSED}"]


def main():
    unit = Path(sys.argv[1])
    pairs = re.findall(r"(?m)^([A-Z]\w+)=(.*)$", unit.read_text(encoding="utf-8"))
    settings = dict(pairs)
    refused = {call for key, value in pairs if key == "SystemCallFilter" and value[:1] == "~" for call in value[1:].split()}
    faults = [f"{key}= gives the service its own mount namespace" for key in sorted(UNSHARING & settings.keys())]
    if "CAP_SYS_PTRACE" not in settings.get("CapabilityBoundingSet", "CAP_SYS_PTRACE"):
        faults.append("without CAP_SYS_PTRACE the users of layers in other mount namespaces are not seen")
    faults += [f"{key}={value} is missing" for key, value in NEEDED.items() if settings.get(key) != value]
    faults += [f"SystemCallFilter= does not refuse {call}" for call in sorted(REFUSED_CALLS - refused)]
    allowed = {value for key, value in pairs if key == "DeviceAllow"}
    if allowed != DEVICES:
        faults.append(f"DeviceAllow= has {', '.join(sorted(allowed))}; needed are {', '.join(sorted(DEVICES))}")
    if "MemoryMax" not in settings:
        faults.append("MemoryMax= is missing")
    faults += exposure_faults(unit)
    for fault in faults:
        print(f"{unit}: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
