# SPDX-License-Identifier: Apache-2.0
"""The files of a checkout that the checks look at, with or without git."""
import pathlib

CODE_FOLDERS = ("base", "lib", "protocol", "cache", "fetcher", "trust", "daemon", "tools", "tests")
CODE_SUFFIXES = (".cpp", ".hpp", ".c", ".h")


def all_files(root):
    """Every file, relative to root; build folders, hidden ones and what only looks like source are left out."""
    root = pathlib.Path(root)
    pending = [root]
    while pending:
        for entry in sorted(pending.pop().iterdir()):
            relative = entry.relative_to(root)
            if entry.is_symlink():
                continue
            if entry.is_dir():
                hidden = entry.name.startswith(".") and entry.name != ".ci"
                built = len(relative.parts) == 1 and (entry.name.startswith("build") or (entry / "meson-info").is_dir())
                if not hidden and not built and entry.name not in ("__pycache__", "corpus"):
                    pending.append(entry)
            elif not entry.name.startswith("."):
                yield relative


def code_files(root):
    for path in all_files(root):
        if path.parts[0] in CODE_FOLDERS and path.suffix in CODE_SUFFIXES:
            yield path


def script_files(root):
    """Shell scripts, told by their first line; a sourced file has a shellcheck directive instead."""
    for path in all_files(root):
        with open(pathlib.Path(root) / path, "rb") as file:
            head = file.read(200).split(b"\n")
        if head[0].startswith(b"#!") and head[0].split()[-1] in (b"bash", b"sh", b"/bin/bash", b"/bin/sh"):
            yield path
        elif path.suffix == ".sh" or any(line.startswith(b"# shellcheck shell=") for line in head):
            yield path
