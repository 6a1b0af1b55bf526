#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_unit.py SERVICE RELEASE-SERVICE RELEASE-SOCKET: holds the units to what their comments promise; above all, nothing gives a
service a mount namespace of its own, in which its mounts and unmounts would not reach the host."""

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
MOST_EXPOSED = 4.4  # of 10, as systemd-analyze reckons; the unit says what for
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
    "KillSignal": "SIGINT",
    "RestartKillSignal": "SIGTERM",
    "OOMPolicy": "continue",
    "LimitCORE": "0",
}


ENVIRONMENT = {"FDSTORE=16", "SLUICE_RELEASE_SOCKET=/run/sluice-release.sock"}
RELEASE_NEEDED = {
    "NoNewPrivileges": "yes",
    "StandardInput": "socket",
    "StandardError": "socket",
    "LimitCORE": "0",
}


def release_faults(unit, socket):
    """Of the service that unmounts layers, and the socket at which it is asked for."""
    settings = dict(re.findall(r"(?m)^([A-Z]\w+)=(.*)$", unit.read_text(encoding="utf-8")))
    listening = dict(re.findall(r"(?m)^([A-Z]\w+)=(.*)$", socket.read_text(encoding="utf-8")))
    faults = [f"{key}= gives the service its own mount namespace" for key in sorted(UNSHARING & settings.keys())]
    if "CAP_SYS_PTRACE" not in settings.get("CapabilityBoundingSet", "CAP_SYS_PTRACE"):
        faults.append("without CAP_SYS_PTRACE the users of layers in other mount namespaces are not seen")
    faults += [f"{key}={value} is missing" for key, value in RELEASE_NEEDED.items() if settings.get(key) != value]
    if listening.get("SocketMode") != "0600" or listening.get("Accept") != "yes":
        faults.append("sluice-release.socket is not for root alone, or not one service for each connection")
    if f"SLUICE_RELEASE_SOCKET={listening.get('ListenStream')}" not in ENVIRONMENT:
        faults.append("sluice-release.socket does not listen where the daemon asks")
    return [f"{unit}: {fault}" for fault in faults]


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
    if "CAP_SYS_PTRACE" in settings.get("CapabilityBoundingSet", "CAP_SYS_PTRACE"):
        faults.append("CAP_SYS_PTRACE is for sluice-release@.service alone")
    set_variables = {value for key, value in pairs if key == "Environment"}
    faults += [f"Environment={value} is missing" for value in sorted(ENVIRONMENT - set_variables)]
    faults += [f"{key}={value} is missing" for key, value in NEEDED.items() if settings.get(key) != value]
    faults += [f"SystemCallFilter= does not refuse {call}" for call in sorted(REFUSED_CALLS - refused)]
    allowed = {value for key, value in pairs if key == "DeviceAllow"}
    if allowed != DEVICES:
        faults.append(f"DeviceAllow= has {', '.join(sorted(allowed))}; needed are {', '.join(sorted(DEVICES))}")
    if "MemoryMax" not in settings:
        faults.append("MemoryMax= is missing")
    faults += exposure_faults(unit)
    faults = [f"{unit}: {fault}" for fault in faults] + release_faults(*map(Path, sys.argv[2:4]))
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
