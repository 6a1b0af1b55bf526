#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_many.py DIR COUNT MIB: many small files around block borders, a large one of MIB, a sparse one; the same bytes every
time."""
import os
import random
import sys

EDGES = (0, 1, 511, 4095, 4096, 4097, 8191, 8192, 12289, 65536, 131073)
FOLDER = 200  # files


def main():
    top, count, large = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) << 20
    source = random.Random(1)
    for number in range(count):
        folder = os.path.join(top, f"{number // FOLDER:03}")
        if number % FOLDER == 0:
            os.makedirs(folder)
        size = source.choice(EDGES) if number % 50 == 0 else int(source.paretovariate(1.2) * 700) % 40000
        with open(os.path.join(folder, f"file-{number}"), "wb") as file:
            file.write(source.randbytes(size))
    with open(os.path.join(top, "large"), "wb") as file:
        file.write(source.randbytes(large))
    with open(os.path.join(top, "sparse"), "wb") as file:
        file.seek(3 << 20)
        file.write(source.randbytes(5000))
        file.truncate(8 << 20)


main()
