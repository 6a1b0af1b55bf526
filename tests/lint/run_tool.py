#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run_tool.py clang-format|shellcheck ROOT: runs one of the outside checkers over all files that concern it."""
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import sources  # noqa: E402

TOOLS = {
    "clang-format": (["--dry-run", "-Werror", "--style=file"], sources.code_files),
    "shellcheck": (["--external-sources", "--source-path=SCRIPTDIR", "--severity=warning"], sources.script_files),
}
SKIPPED = 77


def run(tool, root):
    if not shutil.which(tool):
        print(f"skipped: {tool} is not installed")
        return SKIPPED
    options, files_of = TOOLS[tool]
    files = [str(path) for path in files_of(root)]
    if not files:
        print(f"no files for {tool} in {root}")
        return 1
    done = subprocess.run([tool, *options, *files], cwd=root, check=False, capture_output=True, text=True)
    print(done.stdout + done.stderr)
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2]))
