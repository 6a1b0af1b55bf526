#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node changes its front end and keeps what it has: cachefiles fills a part, FUSE takes it up and gets the rest, and the
# other way round; libsluice's clients beside both. Where there is no cachefiles: FUSE twice, and the library.
. "$(dirname "$0")/lib-sluice.sh"

start_registry
make_tree "$work/tree"
others=(cachefiles)
[ -e /dev/cachefiles ] || others=(fuse)

# daemon_with FRONT-END
daemon_with() {
    SLUICE_FRONT_END=$1 write_config 'read-ahead 0'
    start_daemon
    expect_equal "$1" "$(json status .front_end.name)" "the front end"
}

# of_blobs size|present: bytes of all blobs together.
of_blobs() {
    json blobs "[.blobs[].$1] | add"
}

some=(small/65536 small/4097 deep/a/b/c/file)
read_some() {
    local name
    for name in "${some[@]}"; do
        cmp "$work/tree/$name" "$work/mnt/$name"
    done
}

let_go() {
    sluicectl umount "$work/mnt"
    wait_for 60 "the layers to be released" no_layers
    stop_daemon
}

# same_through_library DIR: all blobs, as the library's example reads them and as sluicectl exported them into DIR, are
# what was published.
same_through_library() {
    local digest size
    : >"$work/published"
    while read -r digest size; do
        "$build/lib/examples/read_blob" "$digest" "$work/blobs.sock" >"$work/blob"
        head -c "$size" "$(blob_file "$digest")" | cmp - "$work/blob"
        sha256sum <"$work/blob" >>"$work/published"
    done < <(json blobs '.blobs[] | "\(.digest) \(.erofs_size)"')
    diff <(sort "$work/published") <(for file in "$1"/*; do sha256sum <"$file"; done | sort) ||
        die "what was exported is not what was published"
}

export_all() {
    sluicectl export "$reference" "$work/exported-$name" >"$work/export.log" 2>&1
}

# change FIRST SECOND PUBLISH-OPTION...: a part under FIRST, the rest under SECOND, and back again.
change() {
    local first=$1 second=$2 name=from-$1-to-$2 size present fetched exporter
    local reference=$registry/$name:v1
    shift 2
    rm -rf "${cache:?}"/*
    publish "$@" --from-dir "$work/tree" "$reference"

    say "${*:-plain}, from $first to $second: a part"
    daemon_with "$first"
    mount_image "$reference" "$work/mnt"
    drop_caches
    read_some
    size=$(of_blobs erofs_size) present=$(of_blobs present)
    [ "$present" -gt 0 ] && [ "$present" -lt $((size / 2)) ] || die "$present of $size bytes are present"
    let_go

    say "what was there is not fetched again"
    daemon_with "$second"
    expect_equal "$present" "$(of_blobs present)" "bytes present"
    mount_image "$reference" "$work/mnt"
    drop_caches
    read_some
    expect_equal 0 "$(counter bytes_fetched)" "bytes fetched again"

    mkdir "$work/exported-$name"
    if [ "$first" = cachefiles ]; then
        say "the rest comes through the library, below the mount, and once"
        export_all
        expect_equal $((size - present)) "$(counter bytes_fetched)" "bytes fetched for the rest"
        compare_cold "$work/tree" "$work/mnt"
        expect_equal $((size - present)) "$(counter bytes_fetched)" "bytes fetched for the rest"
        served_once "$name" "$size"
    else
        say "the rest comes by eight readers and by the library's at the same time: each fetches a byte once at most"
        export_all &
        exporter=$!
        compare_cold "$work/tree" "$work/mnt"
        wait $exporter || die "the export failed"
        fetched=$(counter bytes_fetched)
        [ "$fetched" -ge $((size - present)) ] && [ "$fetched" -le $((2 * (size - present))) ] || die "$fetched bytes were fetched"
    fi
    same_tree "$work/tree" "$work/mnt"
    same_through_library "$work/exported-$name"
    expect_equal "$size" "$(of_blobs present)" "bytes present"
    expect_equal 0 "$(counter reads_failed)" "failed reads"
    let_go

    say "back to $first, without a registry"
    stop_registry
    daemon_with "$first"
    mount_image "$reference" "$work/mnt"
    same_tree "$work/tree" "$work/mnt"
    expect_equal 0 "$(counter bytes_fetched)" "bytes fetched"
    let_go
    start_registry
}

for other in "${others[@]}"; do
    change "$other" fuse --chunksize 4096 --separate-data
    [ "$other" = fuse ] || change fuse "$other"
done

if [ "${others[*]}" = cachefiles ]; then
    say "compressed, a part of it read under fuse: cachefiles completes it before it mounts it"
    rm -rf "${cache:?}"/*
    publish --compress lz4hc --from-dir "$work/tree" "$registry/compressed:v1"
    daemon_with fuse
    mount_image "$registry/compressed:v1" "$work/mnt" --lazy-only
    read_some
    expect_equal false "$(json blobs '.blobs[0].complete')" "the blob is complete"
    let_go
    daemon_with cachefiles
    mount_image "$registry/compressed:v1" "$work/mnt"
    expect_equal true "$(json blobs '.blobs[0].complete')" "the blob is complete"
    compare_cold "$work/tree" "$work/mnt"
    let_go
fi
