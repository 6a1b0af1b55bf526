#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_man_options.py and check_unit.py find planted faults, and nothing where there are none."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import check_man_options  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent

# The shapes of CLI11's help: a list of commands, then one page for each.
TOOL = """#!/bin/sh
case $1 in
pull) printf 'Pull\\nUsage: tool pull [OPTIONS]\\n\\nOptions:\\n  -h,--help   Print\\n  --key TEXT REQUIRED\\n              A key -x\\n' ;;
*) printf 'Usage: tool [OPTIONS] SUBCOMMAND\\n\\nOptions:\\n  -h,--help  Print --this\\n  --json     J\\n\\nSubcommands:\\n'
   printf '  pull    Pull it\\n' ;;
esac
"""
PAGE = """# SYNOPSIS

*tool* [*--nonsense*]

# OPTIONS

*-h*, *--help*
	Print; unlike *--other*.

*--json*
	J

# COMMANDS

## pull

*--key* _FILE_
	K
"""
UNIT = (HERE / "../../packaging/systemd/sluiced.service.in").read_text(encoding="utf-8")
UNIT = UNIT.replace("@sbindir@", "/usr/sbin").replace("@sysconfdir@", "/etc")
RELEASE = (HERE / "../../packaging/systemd/sluice-release@.service.in").read_text(encoding="utf-8")
SOCKET = (HERE / "../../packaging/systemd/sluice-release.socket").read_text(encoding="utf-8")


class Options(unittest.TestCase):
    def setUp(self):
        root = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, root)
        self.tool = root / "tool"
        self.tool.write_text(TOOL)
        self.tool.chmod(0o755)

    def faults(self, page):
        return list(check_man_options.check_options(page, [str(self.tool)]))

    def test_a_complete_page_is_fine(self):
        self.assertEqual(self.faults(PAGE), [])

    def test_a_switch_of_a_command_that_the_page_lacks(self):
        self.assertEqual(self.faults(PAGE.replace("*--key*", "--key")), ["switch --key is in the program and not in the page"])

    def test_a_switch_that_the_program_lacks(self):
        self.assertEqual(
            self.faults(PAGE.replace("*--json*", "*--json*, *-j*")), ["switch -j is in the page and not in the program"]
        )

    def test_commands_both_ways(self):
        self.assertEqual(len(self.faults(PAGE.replace("## pull", "## push"))), 2)


class Directives(unittest.TestCase):
    PAGE = "# DIRECTIVES\n\n*one* _PATH_++\n*a_b* _N%_\n\tSee *two*.\n\n*flag*\n\tF\n\n# SEE ALSO\n\n*three*\n"

    def faults(self, rows):
        return list(check_man_options.check_directives(self.PAGE, ["printf", rows]))

    def test_a_complete_page_is_fine(self):
        self.assertEqual(self.faults("one\\tPATH\\na_b\\tN%%\\nflag\\t\\n"), [])

    def test_faults(self):
        self.assertEqual(
            self.faults("one\\tNAME\\na_b\\tN%%\\nnew\\t\\n"),
            [
                "directive new is in the program and not in the page",
                "directive flag is in the page and not in the program",
                "directive one: arguments 'NAME' in the program, 'PATH' in the page",
            ],
        )


class Unit(unittest.TestCase):
    def status(self, unit, release=RELEASE, socket=SOCKET):
        with tempfile.TemporaryDirectory() as folder:
            files = [pathlib.Path(folder) / name for name in ("a.service", "b@.service", "b.socket")]
            for file, text in zip(files, (unit, release, socket)):
                file.write_text(text)
            command = [sys.executable, str(HERE / "check_unit.py"), *map(str, files)]
            return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode

    def test_faults_of_the_release(self):
        self.assertEqual(self.status(UNIT, RELEASE + "PrivateTmp=yes\n"), 1)
        self.assertEqual(self.status(UNIT, RELEASE.replace("CAP_SYS_PTRACE ", "")), 1)
        self.assertEqual(self.status(UNIT, RELEASE.replace("StandardError=socket", "")), 1)
        self.assertEqual(self.status(UNIT, RELEASE, SOCKET.replace("0600", "0666")), 1)
        self.assertEqual(self.status(UNIT, RELEASE, SOCKET.replace("Stream=/run/", "Stream=/tmp/")), 1)

    def test_faults(self):
        self.assertEqual(self.status(UNIT), 0)
        self.assertEqual(self.status(UNIT + "PrivateTmp=yes\n"), 1)
        self.assertEqual(self.status(UNIT + "ProtectSystem=strict\n"), 1)
        self.assertEqual(self.status(UNIT + "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_PTRACE\n"), 1)
        for old, new in (
            ("KillMode=mixed", "KillMode=process"),
            ("~@resources process_vm_readv", "~@resources"),
            ("DeviceAllow=/dev/fuse rw", "DeviceAllow=char-misc rw"),
            ("MemoryMax=50%", ""),
            ("ProtectClock=yes", ""),
            ("OOMPolicy=continue", ""),
            ("Environment=FDSTORE=16", ""),
        ):
            self.assertIn(old, UNIT)
            self.assertEqual(self.status(UNIT.replace(old, new)), 1, old)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze judges the rest")
    def test_exposure(self):
        self.assertEqual(self.status(UNIT.replace("\nCapabilityBoundingSet=", "\n# ")), 1)


if __name__ == "__main__":
    unittest.main()
