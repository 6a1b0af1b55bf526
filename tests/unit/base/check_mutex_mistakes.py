#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_mutex_mistakes.py SOURCE ROOT: clang takes SOURCE without a mistake, and refuses it with each of the four, for that."""
import shutil
import subprocess
import sys

SKIPPED = 77
# What clang says of each.
EXPECTED = {
    1: "reading variable 'value_' requires holding mutex 'mutex_'",
    2: "calling function 'add' requires holding mutex 'mutex_'",
    3: "acquiring mutex 'mutex_' that is already held",
    4: "calling function 'wait' requires holding mutex 'mutex_'",
}


def compile_with(mistake, source, root):
    command = ["clang++", "-std=c++20", "-fsyntax-only", "-fno-color-diagnostics", "-Wthread-safety", "-Werror", f"-DMISTAKE={mistake}",
               f"-I{root}", source]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def main(source, root):
    if not shutil.which("clang++"):
        print("skipped: clang is not installed, and g++ does not look at this")
        return SKIPPED
    faults = []
    if (good := compile_with(0, source, root)).returncode != 0:
        faults.append("it does not compile without a mistake:\n" + good.stderr)
    for mistake, text in EXPECTED.items():
        bad = compile_with(mistake, source, root)
        if bad.returncode == 0 or text not in bad.stderr:
            faults.append(f"mistake {mistake}: clang must say \"{text}\", and says:\n{bad.stderr or 'nothing'}")
    print("\n".join(faults) or "clang sees all four mistakes")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
