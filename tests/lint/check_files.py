#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What every file has to have, and what none may: size, licence line, include guard, marks of unfinished work."""
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import sources  # noqa: E402

LINES = {".cpp": 400, ".c": 400, ".hpp": 200, ".h": 200}
LICENCE = "SPDX-License-Identifier: Apache-2.0"
MARKS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
LICENSED = (".cpp", ".hpp", ".c", ".h", ".py", ".sh", ".service", ".target", ".socket")


def needs_licence(path, text):
    return path.suffix in LICENSED or path.name in ("meson.build", "meson_options.txt") or text.startswith("#!")


def licence_fault(path, text):
    lines = text.split("\n", 2)
    first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
    if first not in (f"// {LICENCE}", f"# {LICENCE}", f"/* {LICENCE} */"):
        return f"{path}:1: the first line must be the licence ({LICENCE})"
    return None


def check_file(path, text):
    faults = []
    count = text.count("\n")
    limit = LINES.get(path.suffix)
    if limit and path.parts[0] in sources.CODE_FOLDERS and count > limit:
        faults.append(f"{path}: {count} lines; more than {limit} means that it wants to be two files")
    if needs_licence(path, text) and licence_fault(path, text):
        faults.append(licence_fault(path, text))
    if path.suffix == ".hpp" and "\n#pragma once\n" not in text:
        faults.append(f"{path}: no #pragma once")
    if path.suffix == ".scd":
        faults += [f"{path}:{number}: an example that is wider than a terminal" for number in wide_examples(text)]
    if path.suffix not in (".md", ".scd"):
        for number, line in enumerate(text.splitlines(), 1):
            if MARKS.search(line):
                faults.append(f"{path}:{number}: a mark of unfinished work; do it, or open an issue")
    return faults


def wide_examples(text):
    """Lines of literal blocks that a terminal of 80 columns breaks: man(1) indents them by 11."""
    literal = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() == "```":
            literal = not literal
        elif literal and len(line.expandtabs()) > 80 - 11:
            yield number


def check(root):
    faults = []
    for path in sources.all_files(root):
        try:
            text = (pathlib.Path(root) / path).read_text()
        except UnicodeDecodeError:
            continue  # seeds and other binary data
        faults += check_file(path, text)
    return faults


if __name__ == "__main__":
    found = check(sys.argv[1])
    print("\n".join(found) or "files are as they should be")
    sys.exit(1 if found else 0)
