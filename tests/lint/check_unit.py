#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds sluiced.service to what its comment promises: nothing that gives the service a mount namespace of its own, in which
its helpers' unmounts would not reach the host."""

import re
import sys
from pathlib import Path

UNSHARING = {
    "PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateIPC", "PrivateNetwork", "PrivateUsers", "ProtectSystem",
    "ProtectHome", "ProtectProc", "ProcSubset", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
    "ProtectControlGroups", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths",
    "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "RootDirectory", "RootImage", "MountAPIVFS", "MountFlags",
    "MountImages", "ExtensionImages", "ExtensionDirectories", "DynamicUser", "LogNamespace", "NetworkNamespacePath",
}  # fmt: skip
NEEDED = {
    "Type": "notify",
    "NoNewPrivileges": "yes",
    "RuntimeDirectoryPreserve": "yes",
    "KillMode": "mixed",
}


def main():
    unit = Path(sys.argv[1])
    settings = dict(re.findall(r"(?m)^([A-Z]\w+)=(.*)$", unit.read_text(encoding="utf-8")))
    faults = [f"{key}= gives the service its own mount namespace" for key in sorted(UNSHARING & settings.keys())]
    if "CAP_SYS_PTRACE" not in settings.get("CapabilityBoundingSet", "CAP_SYS_PTRACE"):
        faults.append("without CAP_SYS_PTRACE the users of layers in other mount namespaces are not seen")
    faults += [f"{key}={value} is missing" for key, value in NEEDED.items() if settings.get(key) != value]
    for fault in faults:
        print(f"{unit}: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
