# SPDX-License-Identifier: Apache-2.0
"""Debian's own kernels for guests: downloaded with apt-get, and kept as vmlinuz plus the few modules that a guest needs."""
import lzma
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from vmtools import kernels

# "stock-6.1": the meta-package that depends on the newest one.
PACKAGES = {"stock-6.1": "linux-image-amd64", "stock-6.12": "linux-image-6.12-amd64"}
# What is built into our own kernels: the machine, the host's root, and what the daemon's front ends mount.
MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "9p", "9pnet_virtio", "overlay", "crc32c_generic",
           "ext4", "xfs", "erofs", "fuse", "loop", "autofs4", "sch_netem")


def find(name):
    """The kernel's image beside the folder "modules", or None."""
    folders = [kernels.cache_dir(), *map(pathlib.Path, filter(None, os.environ.get("SLUICE_KERNEL_CACHE", "").split(":")))]
    for folder in folders:
        image = folder / name / "vmlinuz"
        if image.exists():
            return image
    return None


def modules_of(image):
    """The modules that belong to a kernel image, in the order in which they load; none for our own kernels."""
    return sorted((pathlib.Path(image).parent / "modules").glob("*.ko"))


def fetch(name):
    """Downloads the kernel and returns its image."""
    package = newest(PACKAGES[name])
    target = kernels.cache_dir() / name
    print(f"{name}: downloading {package}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="sluice-kernel-") as temp:
        run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], cwd=temp)
        (archive,) = pathlib.Path(temp).glob("*.deb")
        run(["dpkg-deb", "-x", archive, f"{temp}/files"], cwd=temp)
        files = pathlib.Path(temp, "files")
        (image,) = files.glob("boot/vmlinuz-*")
        # Written beside the target, where it is on the same file system, and gone again whatever happens.
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as beside:
            work = pathlib.Path(beside, name)
            (work / "modules").mkdir(parents=True)
            for number, (module, content) in enumerate(in_load_order(files / "lib/modules")):
                (work / "modules" / f"{number:02}-{module}.ko").write_bytes(content)
            (work / "package").write_text(archive.name + "\n")
            (work / "vmlinuz").write_bytes(image.read_bytes())
            try:
                work.rename(target)
            except OSError:
                if not (target / "vmlinuz").exists():
                    raise  # else another process was faster
    return target / "vmlinuz"


def newest(meta_package):
    listing = run(["apt-cache", "depends", "--important", meta_package], cwd="/")
    found = re.search(r"Depends: (linux-image-\S+)", listing)
    if not found:
        raise RuntimeError(f"apt knows no {meta_package}; apt-get update may help")
    return found[1]


def run(command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


def in_load_order(folder):
    """(name, content) of MODULES and what they depend on, each behind its own dependencies."""
    paths = {}
    for path in folder.rglob("*.ko*"):
        paths[path.name.split(".")[0].replace("-", "_")] = path
    loaded = {}

    def load(name):
        path = paths.get(name)
        if name in loaded or path is None:  # not there: built in
            return
        content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        for needed in filter(None, depends[1].decode().split(",") if depends else []):
            load(needed.replace("-", "_"))
        loaded[name] = content

    for name in MODULES:
        load(name)
    return loaded.items()
