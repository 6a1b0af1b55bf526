# SPDX-License-Identifier: Apache-2.0
"""Which kernels guests may run: what configuration they need, and which images have it."""
import hashlib
import os
import pathlib
import re
import zlib

HERE = pathlib.Path(__file__).resolve().parent.parent
SERIES = ("6.12", "6.1")
# Raise it when build-kernel changes in a way that makes other images of the same configuration.
BUILD_VERSION = "1"


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "sluice" / "kernels"


def wanted_options(series, extras=()):
    """The option lines of the series' fragments, comments left out, in a fixed order."""
    names = ["common", series, *extras]
    lines = []
    for name in names:
        for line in (HERE / "kernel" / f"{name}.config").read_text().splitlines():
            if re.match(r"CONFIG_\w+=|# CONFIG_\w+ is not set$", line):
                lines.append(line)
    return lines


def cached_name(series, extras=()):
    text = "\n".join([BUILD_VERSION, *wanted_options(series, extras)])
    return f"bzImage-{series}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def inflate_members(image):
    """The gzip streams inside a file, inflated; what only looks like one is passed over."""
    at = image.find(b"\x1f\x8b\x08")
    while at >= 0:
        stream = zlib.decompressobj(31)
        try:
            yield stream.decompress(image[at:])
        except zlib.error:
            pass
        at = image.find(b"\x1f\x8b\x08", at + 1)


def embedded_config(path):
    """The text of the .config that CONFIG_IKCONFIG keeps in a kernel image, or None."""
    for kernel in inflate_members(pathlib.Path(path).read_bytes()):
        at = kernel.find(b"IKCFG_ST")
        if at >= 0:
            for text in inflate_members(kernel[at + 8 :]):
                return text.decode(errors="replace")
    return None


def config_series(config):
    match = re.search(r"^# Linux/\S+ (\d+\.\d+)\S* Kernel Configuration", config, re.M)
    return match[1] if match else None


def unsatisfied(config, options):
    """The lines of `options` that `config` does not fulfil. An option it does not know counts as off."""
    have = set(config.splitlines())
    known = {line.split("=", 1)[0] for line in have if line.startswith("CONFIG_")}
    missing = []
    for line in options:
        off = re.match(r"# (CONFIG_\w+) is not set$", line)
        if off[1] in known if off else line not in have:
            missing.append(line)
    return missing


def find(series, extras=()):
    """The path of a kernel image that fits, or None."""
    ours = cache_dir() / cached_name(series, extras)
    if ours.exists():
        return ours
    options = wanted_options(series, extras)
    for folder in filter(None, os.environ.get("SLUICE_KERNEL_CACHE", "").split(":")):
        for image in sorted(pathlib.Path(folder).glob("bzImage*")):
            config = embedded_config(image)
            if config and config_series(config) == series and not unsatisfied(config, options):
                return image.resolve()
    return None
