#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_matrix.py ROOT: which scenario runs where is told by docs/testing.md as the meson.build files have it."""
import ast
import pathlib
import re
import sys

DOCS, GUESTS, NATIVE = "docs/testing.md", "tests/vm/meson.build", "tests/native/meson.build"


def literal(text, name):
    """The value of a dictionary in a meson.build, whose literals are Python's."""
    found = re.search(rf"^{name} = (\{{.*?^\}})", text, re.MULTILINE | re.DOTALL)
    return ast.literal_eval(found[1])


def built(root):
    """(scenario, where) of each test."""
    guests, native = (root / GUESTS).read_text(), (root / NATIVE).read_text()
    pairs = {(name, kernel) for name, run in literal(guests, "guest_matrix").items() for kernel in run[1]}
    for disk, kernels in literal(guests, "cache_disks").items():
        pairs |= {(f"cache-disk {disk}", kernel) for kernel in kernels}
    for names in re.findall(r"^foreach name : (\[.*?\])", native, re.MULTILINE | re.DOTALL):
        pairs |= {(name, "native") for name in ast.literal_eval(names)}
    return pairs


def told(root):
    """The same of the table whose first column is called scenario; its columns have the kernels' names."""
    pairs, columns = set(), None
    for line in (root / DOCS).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            columns = None
        elif cells[0] == "scenario":
            columns = cells
        elif columns:
            for name in re.findall("`(.*?)`", cells[0]):
                pairs |= {(name, where) for where, mark in zip(columns, cells) if mark == "x"}
    return pairs


def check(root):
    root = pathlib.Path(root)
    tests, table = built(root), told(root)
    return [f"{DOCS}: no mark for {name} on {where}, where it runs" for name, where in sorted(tests - table)] + [
        f"{DOCS}: a mark for {name} on {where}, where it does not run" for name, where in sorted(table - tests)
    ]


if __name__ == "__main__":
    found = check(sys.argv[1])
    print("\n".join(found) or "the table agrees with the tests")
    sys.exit(1 if found else 0)
