#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A source bears the name of the header that it implements. One that got too long is continued in <header>_<part>.cpp."""
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import sources  # noqa: E402

HEADERS = (".hpp", ".h")
INCLUDE = re.compile(r'^\s*#\s*include "(.*?)"', re.MULTILINE)
MAIN = re.compile(r"^int main\(", re.MULTILINE)


def header_of(root, path):
    """The header that the source's name says it implements: of the same name, or of the longest one that it continues."""
    words = path.stem.split("_")
    for count in range(len(words), 0, -1):
        for suffix in HEADERS:
            header = path.with_name("_".join(words[:count]) + suffix)
            if (root / header).exists():
                return header
    return None


def check(root):
    root, faults = pathlib.Path(root), []
    for path in sources.code_files(root):
        ours = path.parts[0] != "tests" or path.parts[1] == "support"
        if path.suffix != ".cpp" or not ours:
            continue
        text = (root / path).read_text()
        if MAIN.search(text):
            continue
        header = header_of(root, path)
        included = INCLUDE.findall(text)
        if header is None:
            faults.append(f"{path}: there is no header of this name: call the source as the header that it implements, "
                          "or <header>_<part>.cpp where it is one part of several")
        elif header.stem == path.stem and included[:1] != [str(header)]:
            faults.append(f"{path}: its first include must be its own header, {header}, which so is held to name what it needs")
    return faults


if __name__ == "__main__":
    found = check(sys.argv[1])
    print("\n".join(found) or "headers and sources bear the same names")
    sys.exit(1 if found else 0)
