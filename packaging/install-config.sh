#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install-config.sh FILE DIRECTORY: installs the default configuration where there is none yet. An operator's own is never
# overwritten; the new default then goes beside it. Run by meson install, which sets DESTDIR.
set -eu
file=$1
directory=${DESTDIR:-}$2
target=$directory/$(basename "$file")

install -d -m 0755 "$directory" "$directory/keys"
if [ ! -e "$target" ]; then
    install -m 0644 "$file" "$target"
elif ! cmp -s "$file" "$target"; then
    install -m 0644 "$file" "$target.new"
    echo "kept $target; the new default is $target.new"
fi
