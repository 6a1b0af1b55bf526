# SPDX-License-Identifier: Apache-2.0
"""Finds in a kernel's log what must not be there."""
import re

TROUBLE = re.compile(
    r"\bBUG\b[: ]"
    r"|\bWARNING:"
    r"|\bOops\b"
    r"|\bKASAN\b|\bUBSAN\b|\bKCSAN\b"
    r"|general protection fault"
    r"|unable to handle"
    r"|blocked for more than \d+ seconds"
    r"|soft lockup|hard LOCKUP"
    r"|rcu: INFO: .*(stall|detected)"
    r"|refcount_t: (?!Possible)"
    r"|(list_add|list_del) corruption"
    r"|possible recursive locking|possible circular locking"
    r"|Bad page state|Bad rss-counter"
    r"|Kernel panic"
    r"|Out of memory: Killed"
    r"|(EXT4|XFS).*\b(error|corruption|Corruption)\b"
)
# The emulated processor lacks what these two speak of; they say nothing about the code under test.
HARMLESS = re.compile(r"Spectre V2|x86/cpu: ")


def trouble(log, announced=()):
    """The lines of `log` that tell of trouble and match none of the `announced` patterns."""
    patterns = [re.compile(pattern) for pattern in announced]
    found = []
    for line in log.splitlines():
        if not TROUBLE.search(line) or HARMLESS.search(line):
            continue
        if not any(pattern.search(line) for pattern in patterns):
            found.append(line)
    return found


def around(log, lines, before=2, after=25):
    """The part of the log around the first of `lines`, for a report."""
    everything = log.splitlines()
    for index, line in enumerate(everything):
        if lines and line == lines[0]:
            return "\n".join(everything[max(0, index - before) : index + after])
    return ""
