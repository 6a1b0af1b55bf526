#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_tidy.py ROOT BUILD [FILE...]: clang-tidy with .clang-tidy over our own .cpp files, tests not among them.

BUILD is a folder that was configured for clang; what it was configured for (sanitizers, precompiled headers) is left out.
A file in which nothing was found is not looked at again until it, a header of ours that it includes, its command, the
checks or clang-tidy itself change: BUILD/tidy keeps notes of those.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import sources  # noqa: E402

SKIPPED = 77


def plain(command):
    """A compiler's arguments without those that clang-tidy has no use for."""
    words, result = iter(shlex.split(command)), []
    for word in words:
        if word in ("-include-pch", "-o", "-MF", "-MQ"):
            next(words)
        elif not word.startswith(("-fsanitize", "-fno-sanitize", "-MD", "-g")):
            result.append(word)
    return result


def commands(root, build):
    """Our .cpp files -> how they are compiled; of a file that is compiled twice one."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(os.path.relpath(pathlib.Path(entry["directory"], entry["file"]).resolve(), root))
        if path.suffix == ".cpp" and path.parts[0] in sources.CODE_FOLDERS and path.parts[0] != "tests":
            found[path] = {"directory": entry["directory"], "file": str(root / path), "arguments": plain(entry["command"])}
    return found


def with_headers(root, path):
    """A file and the headers of ours that it includes, and they include."""
    seen, pending = set(), [path]
    while pending:
        file = pending.pop()
        if file not in seen and (root / file).is_file():
            seen.add(file)
            pending += map(pathlib.Path, re.findall(r'^#\s*include "(.*?)"', (root / file).read_text(), re.MULTILINE))
    return sorted(seen)


def note(root, path, command, common):
    """A name that changes with everything that an outcome depends on."""
    digest = hashlib.sha256(common + json.dumps(command).encode())
    for file in with_headers(root, path):
        digest.update(str(file).encode() + (root / file).read_bytes())
    return digest.hexdigest()


def run(root, build, wanted):
    if not shutil.which("clang-tidy"):
        print("skipped: clang-tidy is not installed")
        return SKIPPED
    notes = build / "tidy"
    notes.mkdir(exist_ok=True)
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    common = (root / ".clang-tidy").read_bytes() + version
    entries = commands(root, build)
    (notes / "compile_commands.json").write_text(json.dumps(list(entries.values())))
    files = {path: notes / note(root, path, command, common) for path, command in entries.items()}
    if wanted:
        files = {path: clean for path, clean in files.items() if str(path).startswith(tuple(wanted))}
    kept = {clean for clean in files.values() if clean.exists()}
    for old in () if wanted else set(notes.iterdir()) - kept - {notes / "compile_commands.json"}:
        old.unlink()

    def look(path, clean):
        if clean in kept:
            return True
        done = subprocess.run(["clang-tidy", "-p", notes, "--quiet", root / path], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode == 0:
            clean.touch()
        else:
            print(done.stdout or done.stderr, flush=True)
        return done.returncode == 0

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(look, *zip(*sorted(files.items()))))
    print(f"{outcomes.count(True)} of {len(outcomes)} files are clean; {len(kept)} of them were so before")
    return 0 if outcomes and all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(run(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:]))
