#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_abi.py LIST LIBRARY PRINT_LAYOUT: what libsluice.so exports, and what its headers compile to, against LIST.

What is in LIST was promised: a line that is gone or changed breaks programs, and needs another soname. A new line has to be
added to LIST. "--print" instead of LIST prints what it would have to be.
"""
import re
import subprocess
import sys


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def actual(library, print_layout):
    dynamic = run("readelf", "--dynamic", "--wide", library)
    sonames = [re.search(r"\[(.*)\]", line)[1] for line in dynamic if "(SONAME)" in line]
    lines = [f"soname {name}" for name in sonames]
    for line in run("nm", "--dynamic", "--defined-only", library):
        kind, name = line.split()[-2:]
        if kind != "A":  # the version's own name
            lines.append(f"symbol {name.replace('@@', '@')}")
    return lines + run(print_layout)


def main():
    listed, library, print_layout = sys.argv[1:]
    found = actual(library, print_layout)
    if listed == "--print":
        print("\n".join(found))
        return 0
    with open(listed, encoding="utf-8") as file:
        promised = [line for line in file.read().splitlines() if line and not line.startswith("#")]
    faults = [f"promised, and gone: {line}" for line in promised if line not in found]
    faults += [f"not in {listed}: {line}" for line in found if line not in promised]
    print("\n".join(faults) or f"{len(found)} promises kept")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
