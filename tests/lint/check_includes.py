#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: the arrows between our folders, and the one folder that each foreign library belongs to."""
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import sources  # noqa: E402

# A folder may include itself and these. From lib/ the others see the C header only.
MIDDLE = ("protocol", "cache", "fetcher", "trust")
ARROWS = {
    "base": (),
    "lib": ("base",),
    **{folder: ("base", "lib") for folder in MIDDLE},
    "daemon": ("base", "lib", *MIDDLE),
    "tools": ("base", "lib", *MIDDLE),
}
# The rooms of daemon/, and which others each may include. What lies in daemon/ itself is the composition root: it
# includes all of them, and none of them includes it.
ROOMS = {
    "config": (),
    "keeper": (),
    "blob": (),
    "image": ("blob",),
    "front_end": ("blob", "image", "config"),
    "control": ("blob", "image", "front_end", "config"),
}
# Foreign headers, and the folders that wrap them.
FENCES = (
    (r"systemd/", ("base",)),
    (r"tl/expected", ("base",)),
    (r"nlohmann/", ("base",)),
    (r"linux/cachefiles", ("protocol",)),
    (r"fuse", ("protocol",)),
    (r"sqlite3", ("cache",)),
    (r"curl/", ("fetcher",)),
    (r"openssl/", ("trust",)),
    (r"microhttpd", ("daemon",)),
    (r"CLI/", ("tools",)),
    (r"gtest/|gmock/", ("tests",)),
    (r"benchmark/", ("tests",)),
)
# Headers of the C++ library that one of ours wraps.
WRAPPED = {"mutex": "base/mutex.hpp", "shared_mutex": "base/mutex.hpp", "condition_variable": "base/mutex.hpp"}
# Fakes and measurements need servers and references of their own; unit tests don't.
FREE = ("tests/support", "tests/integration", "tests/bench")
# What writes images is for publishing: the daemon only reads.
PUSHING = tuple(f"fetcher/{name}.hpp" for name in ("image_target", "layout_push", "registry_push", "targets"))
GENERATED = ("sluice_config.h",)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def allowed_folders(path):
    """The folders whose headers the file at `path` may include; None: any."""
    top = path.parts[0]
    if top != "tests":
        return (top, *ARROWS[top])
    if path.parts[1] == "unit" and path.parts[2] in ARROWS:
        tested = path.parts[2]
        return ("tests", tested, *ARROWS[tested])
    return None


def own_include_fault(path, included, root):
    if included in GENERATED:
        return None
    target = pathlib.PurePosixPath(included)
    if len(target.parts) < 2 or not (pathlib.Path(root) / included).is_file():
        return f'"{included}" is no header of ours; own headers are named by folder ("base/text.hpp"), others go in <>'
    allowed = allowed_folders(path)
    top = target.parts[0]
    if allowed is not None and top not in allowed:
        return f"{path.parts[0]}/ must not include {top}/ ({included})"
    if top == "lib" and path.parts[0] not in ("lib", "tests") and target.suffix != ".h":
        return f"of lib/ others may include the C header only, not {included}"
    if path.parts[0] == "daemon" and included in PUSHING:
        return f"daemon/ only reads images; what writes them belongs to tools/ ({included})"
    if path.parts[0] == "daemon" and top == "daemon":
        return room_fault(path, target, included)
    return None


def room_fault(path, target, included):
    if len(path.parts) < 3:
        return None
    room = path.parts[1]
    if room not in ROOMS:
        return f"daemon/{room}/ has no line in ROOMS of tests/lint/check_includes.py"
    if len(target.parts) < 3:
        return f"daemon/{room}/ must not include the composition root ({included})"
    if target.parts[1] not in (room, *ROOMS[room]):
        return f"daemon/{room}/ must not include daemon/{target.parts[1]}/ ({included})"
    return None


def foreign_include_fault(path, included):
    if included in WRAPPED and str(path) != WRAPPED[included]:
        return f'instead of <{included}>, "{WRAPPED[included]}", with which clang sees what a mutex guards'
    if str(path).startswith(FREE):
        return None
    folder = path.parts[0]
    if folder == "tests" and len(path.parts) > 2 and path.parts[1] == "unit":
        folder = path.parts[2]  # a unit test may use what the code that it tests may use
    for pattern, folders in FENCES:
        if re.match(pattern, included) and folder not in folders and path.parts[0] not in folders:
            return f"<{included}> belongs to {' and '.join(name + '/' for name in folders)} only"
    return None


def check(root):
    faults = []
    for path in sources.code_files(root):
        for number, line in enumerate((pathlib.Path(root) / path).read_text(errors="replace").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quote, included = match.groups()
            fault = own_include_fault(path, included, root) if quote == '"' else foreign_include_fault(path, included)
            if fault:
                faults.append(f"{path}:{number}: {fault}")
    return faults


if __name__ == "__main__":
    found = check(sys.argv[1])
    print("\n".join(found) or "includes follow the layers")
    sys.exit(1 if found else 0)
