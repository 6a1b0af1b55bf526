# SPDX-License-Identifier: Apache-2.0
"""Starts QEMU for one guest, passes its output on, and ends it on every path."""
import os
import signal
import subprocess
import sys
import threading

from vmtools import initramfs, stock

PROGRAM = "qemu-system-x86_64"
GRACE = 60  # seconds for booting and powering off, beside the command's limit


def make_cache_disk(path, size, file_system):
    subprocess.run(["truncate", "-s", size, path], check=True)
    make = {
        "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1"],
        "ext4-1k": ["mkfs.ext4", "-q", "-F", "-b", "1024", "-E", "lazy_itable_init=1,lazy_journal_init=1"],
        "xfs": ["mkfs.xfs", "-q", "-f"],
    }[file_system]
    path_with_sbin = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    subprocess.run([*make, path], check=True, env={**os.environ, "PATH": path_with_sbin})


def kernel_command_line(args):
    mode = "systemd" if args.systemd else "shell" if args.shell else "run"
    words = [
        "console=ttyS0 loglevel=5 log_buf_len=4M panic=-1 reboot=t",
        # Emulated clocks and processors: no calibration, no self-tests that take seconds.
        "mitigations=off tsc=reliable no_timer_check random.trust_cpu=on rcupdate.rcu_expedited=1 norandmaps",
        f"guest.mode={mode} guest.cache={args.cache_fs}",
    ]
    if args.systemd:
        words.append("systemd.unit=sluice-guest.target systemd.show_status=0 systemd.getty_auto=0 systemd.log_target=journal")
    return " ".join([*words, args.append])


def command_line(args, kernel, temp, out, drive):
    # Emulation unless asked otherwise: a nested or half-working KVM kills QEMU, and speed is not what guests are for.
    accelerator = os.environ.get("SLUICE_GUEST_ACCEL", "tcg,thread=multi")
    command = [
        PROGRAM, "-accel", accelerator, "-cpu", "max", "-machine", "q35",
        "-smp", str(args.cpus), "-m", str(args.memory),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-kernel", str(kernel), "-initrd", str(temp / "initramfs"), "-append", kernel_command_line(args),
        "-serial", f"file:{out / 'console'}",
        "-device", "virtio-serial-pci", "-chardev", "stdio,id=terminal,signal=off", "-device", "virtconsole,chardev=terminal",
        "-device", "virtio-rng-pci",
        "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=root,mount_tag=hostroot",
        "-fsdev", f"local,id=out,path={out},security_model=none",
        "-device", "virtio-9p-pci,fsdev=out,mount_tag=out",
    ]
    if args.cache_fs != "none":
        drive = drive or f"file={temp / 'cache.img'},format=raw,cache=unsafe,discard=unmap"
        command += ["-drive", f"{drive},if=none,id=cache", "-device", "virtio-blk-pci,drive=cache"]
    return command


def pass_output_on(pipe):
    """Byte for byte and at once; whoever reads our output may have gone, the guest's must still be drained."""
    listening = True
    while data := os.read(pipe.fileno(), 65536):
        try:
            if listening:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
        except BrokenPipeError:
            listening = False


def prepare(args, kernel, temp):
    """What all boots of a guest have in common."""
    initramfs.write(temp / "initramfs", stock.modules_of(kernel))
    if args.cache_fs != "none":
        make_cache_disk(temp / "cache.img", args.cache_size, args.cache_fs)


def run(args, kernel, temp, out, disk=None):
    """One boot. True when the guest ended by itself, or `disk` killed it; False when the time limit ended it."""
    terminal = args.shell
    process = subprocess.Popen(
        # Even a SIGKILL for us must not leave a guest behind.
        ["setpriv", "--pdeathsig", "KILL", *command_line(args, kernel, temp, out, disk and disk.drive())],
        stdin=None if terminal else subprocess.DEVNULL,
        stdout=None if terminal else subprocess.PIPE,
    )
    if terminal:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it belongs to the guest's shell
    else:
        reader = threading.Thread(target=pass_output_on, args=(process.stdout,))
        reader.start()
    server = disk.serve(process) if disk else None
    try:
        process.wait(timeout=None if terminal else args.limit + GRACE)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if not terminal:
            reader.join()
        if server:
            server.join()
