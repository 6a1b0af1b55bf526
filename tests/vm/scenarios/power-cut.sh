#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest: --boots 4 --power-cuts 1
# The power is cut, again and again, in the middle of filling: layers are being read, images registered and forgotten, and the
# disk loses what was not flushed. After each cut the database and the cache are in order, every byte that is read is right,
# and what had been synced is not fetched again. tests/native/power-cuts.sh runs it without
# a guest.
. "$(dirname "$0")/lib-sluice.sh"

out=${SLUICE_OUT:-/out}
[ -e "$out/boots" ] || die "the power is cut by tests/vm/run-scenario, and natively by tests/native/power-cuts.sh"
boot=$(cat "$out/boot")
last=$(cat "$out/boots")
images=3 # of each kind; then all begins anew with an empty cache
registry_root=$out/registry # these do not live on the disk that loses
registry_log=$out/registry.log
synced=$out/synced
lock=$cache/sluice/lock

# publish_all: for each number an image "kept" that is synced before the cut, and one of two layers, "filled", in the middle of
# which the cut comes; and the image that is registered and forgotten meanwhile.
publish_all() {
    local number from=$work/from
    for ((number = 0; number < images && number < last - 1; ++number)); do
        mkdir -p "$from/kept" "$from/low/low" "$from/high/high"
        random_bytes 1500000 "kept $number" >"$from/kept/file"
        random_bytes 10000000 "low $number" >"$from/low/low/file"
        random_bytes 3000001 "high $number" >"$from/high/high/file"
        random_bytes 50000 "small $number" >"$from/high/high/small"
        sums "$from/kept" >"$out/sums-kept-$number"
        { sums "$from/high" && sums "$from/low"; } >"$out/sums-filled-$number"
        publish --from-dir "$from/kept" "$registry/kept:v$number"
        publish --from-dir "$from/low" --from-dir "$from/high" "$registry/filled:v$number"
    done
    mkdir -p "$from/churn"
    random_bytes 300000 churn >"$from/churn/file"
    publish --from-dir "$from/churn" "$registry/churn:v0"
}

looked() {
    grep -q 'cached blobs after a stop that was not clean' "$work/sluiced.log"
}

# right_bytes NAME NUMBER: what is mounted has the bytes that were published.
right_bytes() {
    diff "$out/sums-$1-$2" <(sums "$work/$1") >&2 || die "wrong bytes in $1:v$2"
}

sound_database() {
    mkdir "$work/database"
    cp "$cache"/sluice/sluice.db* "$work/database"
    python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("PRAGMA integrity_check").fetchone()[0])' \
        "$work/database/sluice.db" >"$work/integrity"
    expect_text "$work/integrity" '^ok$'
}

# look_after_cut NUMBER: of the filled image.
look_after_cut() {
    local served kept
    expect_text "$lock" '^in use$'
    [ ! -e "$cache/sluice/sluice.db" ] || sound_database
    start_daemon
    wait_for 60 "the sweep to end" looked
    served=$(served_bytes kept)
    while read -r kept; do
        json images '.images[].reference' >"$work/known"
        expect_text "$work/known" "^$registry/kept:v$kept\$"
        mount_image "$registry/kept:v$kept" "$work/kept"
        right_bytes kept "$kept"
        sluicectl umount "$work/kept"
    done <"$synced"
    expect_equal 0 "$(counter bytes_fetched)" "bytes fetched for images that had been synced"
    mount_image "$registry/filled:v$1" "$work/filled"
    say "$(json blobs '[.blobs[].present] | add') of $(json blobs '[.blobs[].erofs_size] | add') bytes are there"
    right_bytes filled "$1"
    sluicectl umount "$work/filled"
    mount_image "$registry/churn:v0" "$work/churned"
    cmp "$work/churned/file" <(random_bytes 300000 churn) || die "wrong bytes in churn:v0"
    sluicectl umount "$work/churned"
    expect_equal 0 "$(counter reads_failed)" "failed reads"
    expect_equal "$served" "$(served_bytes kept)" "bytes that the registry has sent for images that had been synced"
    wait_for 60 "the layers to be released" no_layers
    [ -z "$(find "$cache/sluice" -name '*.corrupt-*')" ] || die "the database was damaged"
}

# register_and_forget: until the power goes.
register_and_forget() {
    while true; do
        mount_image "$registry/churn:v0" "$work/churned"
        cat "$work/churned/file" >/dev/null
        sluicectl umount "$work/churned"
        sluicectl forget "$registry/churn:v0"
        sync
        [ ! -e "$out/reader-failed" ] || die "a reader failed before the cut"
    done
}

# read_filled PART: a reader of the image that is being filled.
read_filled() {
    (cd "$work/filled" && grep " \./$1" "$out/sums-filled-$number" | sha256sum -c --quiet) >&2
}

write_config
start_registry
if [ "$boot" = 1 ]; then
    publish_all
    : >"$synced"
    start_daemon
else
    say "boot $boot, $(uname -r), $(findmnt -no FSTYPE "$cache"): after a cut"
    look_after_cut $(((boot - 2) % images))
    if [ "$boot" = "$last" ] || [ $(((boot - 1) % images)) = 0 ]; then
        stop_daemon
        expect_text "$lock" '^clean$'
        [ "$boot" != "$last" ] || exit 0
        rm -rf "${cache:?}"/{cache,graveyard,sluice}
        : >"$synced"
        start_daemon
    fi
fi

number=$(((boot - 1) % images))
mount_image "$registry/kept:v$number" "$work/kept"
right_bytes kept $number
sync
echo $number >>"$synced"
: >"$out/power-cut"
mount_image "$registry/filled:v$number" "$work/filled"
for part in low high/small ""; do
    (read_filled "$part" || touch "$out/reader-failed") &
done
register_and_forget
