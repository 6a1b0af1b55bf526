#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""packaging/apt-packages and docs/dependencies.md name the same packages."""
import pathlib
import re
import sys

LIST = "packaging/apt-packages"
PAGE = "docs/dependencies.md"
NAME = re.compile(r"`([a-z0-9][a-z0-9.+-]*)`")
LINE = re.compile(r"^([a-z0-9][a-z0-9.+-]*) +(\S+) +(\S.*)$")


def listed_packages(text):
    """(packages, faults): each line is blank, a comment, or "package group reason"."""
    packages, faults = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = LINE.match(line)
        if match:
            packages.append(match[1])
        else:
            faults.append(f"{LIST}:{number}: not of the form: package group reason")
    return packages, faults


def explained_packages(page):
    """What the page gives reasons for in its tables: their first column."""
    names = []
    for line in page.splitlines():
        if line.startswith("| `"):
            names += NAME.findall(line.split("|")[1])
    return names


def check(root):
    root = pathlib.Path(root)
    packages, faults = listed_packages((root / LIST).read_text())
    page = (root / PAGE).read_text()
    for package in packages:
        if f"`{package}`" not in page:
            faults.append(f"{PAGE}: does not say why {package} is needed ({LIST} has it)")
    for package in sorted(set(explained_packages(page)) - set(packages)):
        faults.append(f"{PAGE}: explains {package}, which is not in {LIST}")
    for package in sorted({name for name in packages if packages.count(name) > 1}):
        faults.append(f"{LIST}: {package} stands there twice")
    return faults


if __name__ == "__main__":
    found = check(sys.argv[1])
    print("\n".join(found) or "the list of packages and its page agree")
    sys.exit(1 if found else 0)
