#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds every switch, command and directive against its manual page, both ways.

check_man_options.py directives PAGE COMMAND...   COMMAND prints "name<TAB>arguments" lines
check_man_options.py options PAGE COMMAND...      COMMAND --help lists the switches; its commands are asked too

A page documents a switch or a directive where a line begins with it in bold: "*-d*, *--debug*", "*brun* _N%_++"; and a
command where a heading in COMMANDS names it: "## mount".
"""

import re
import subprocess
import sys
from pathlib import Path

SWITCH = re.compile(r"(?<![\w-])(-[A-Za-z]|--[A-Za-z][\w-]*)(?![\w-])")


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def switches_of_help(text):
    """The switches that stand at the beginning of a line, before their description (two blanks or a line's end)."""
    found = set()
    for line in text.splitlines():
        if re.match(r"\s+-", line):
            found.update(SWITCH.findall(re.split(r"\s{2,}", line.strip())[0]))
    return found


def commands_of_help(text):
    """CLI11's list of subcommands: indented names below "Subcommands:"."""
    section = re.search(r"(?im)^(?:sub)?commands:\n((?:[ \t]+\S.*\n?|\n(?=[ \t]))+)", text)
    if not section:
        return set()
    names = (re.match(r" {2}([a-z][\w-]*)(?:\s|$)", line) for line in section[1].splitlines())
    return {name[1] for name in names if name}


def plain(text):
    return re.sub(r"\\(.)", r"\1", text)


def page_lines(page):
    """Lines outside of literal blocks and of indented text."""
    literal = False
    for line in page.splitlines():
        if line.strip() == "```":
            literal = not literal
        elif not literal and not line.startswith("\t"):
            yield line


def switches_of_page(page):
    found = set()
    for line in page_lines(page):
        if line.startswith("*-"):
            for bold in re.findall(r"\*(-[^*]*)\*", line):
                found.update(SWITCH.findall(plain(bold)))
    return found


def commands_of_page(page):
    section = re.search(r"(?ms)^# COMMANDS\n(.*?)(?=^# |\Z)", page)
    return set(re.findall(r"(?m)^## ([a-z][\w-]*)", section[1])) if section else set()


def directives_of_page(page):
    found = {}
    section = re.search(r"(?ms)^# DIRECTIVES\n(.*?)(?=^# )", page)[1]
    for line in page_lines(section):
        match = re.fullmatch(r"\*([a-z][\w\\-]*)\*(.*?)(?:\+\+)?", line)
        if match:
            found[plain(match[1])] = plain(match[2]).replace("_", "").strip()
    return found


def differences(what, in_program, in_page):
    for name in sorted(in_program - in_page):
        yield f"{what} {name} is in the program and not in the page"
    for name in sorted(in_page - in_program):
        yield f"{what} {name} is in the page and not in the program"


def check_options(page, command):
    text = run([*command, "--help"])
    commands = commands_of_help(text)
    switches = switches_of_help(text)
    for name in commands:
        switches |= switches_of_help(run([*command, name, "--help"]))
    if not switches:
        yield "--help lists no switches"
    yield from differences("command", commands, commands_of_page(page))
    yield from differences("switch", switches, switches_of_page(page))


def check_directives(page, command):
    table = dict(line.split("\t") for line in run(command).splitlines())
    documented = directives_of_page(page)
    if not table:
        yield "no directives"
    yield from differences("directive", set(table), set(documented))
    for name in sorted(table.keys() & documented.keys()):
        if table[name] != documented[name]:
            yield f"directive {name}: arguments '{table[name]}' in the program, '{documented[name]}' in the page"


def main():
    kind, page_file, *command = sys.argv[1:]
    page = Path(page_file).read_text(encoding="utf-8")
    check = {"options": check_options, "directives": check_directives}[kind]
    faults = list(check(page, command))
    for fault in faults:
        print(f"{page_file}: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
