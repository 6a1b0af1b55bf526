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
    """(scenario, where, mark) of each test."""
    guests, native = (root / GUESTS).read_text(), (root / NATIVE).read_text()
    runs = [(name, *run[1:]) for name, run in literal(guests, "guest_matrix").items()]
    runs += [(name, *run) for name, run in literal(guests, "cache_disks").items()]
    marks = {(name, kernel, mark) for name, *kernels in runs for mark, group in zip("xn", kernels) for kernel in group}
    for names in re.findall(r"^foreach name : (\[.*?\])", native, re.MULTILINE | re.DOTALL):
        marks |= {(name, "native", "x") for name in ast.literal_eval(names)}
    return marks


def told(root):
    """The same of the table whose first column is called scenario; its columns have the kernels' names."""
    marks, columns = set(), None
    for line in (root / DOCS).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            columns = None
        elif cells[0] == "scenario":
            columns = cells
        elif columns:
            for name in re.findall("`(.*?)`", cells[0]):
                marks |= {(name, where, mark) for where, mark in zip(columns, cells) if mark in ("x", "n")}
    return marks


def check(root):
    root = pathlib.Path(root)
    tests, table = built(root), told(root)
    return [f"{DOCS}: no mark {mark} for {name} on {where}" for name, where, mark in sorted(tests - table)] + [
        f"{DOCS}: a mark {mark} for {name} on {where}, where that does not run it" for name, where, mark in sorted(table - tests)
    ]


if __name__ == "__main__":
    found = check(sys.argv[1])
    print("\n".join(found) or "the table agrees with the tests")
    sys.exit(1 if found else 0)
