#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A server that answers, but badly: errors, cut, wrong and trickling bodies, lost connections. A reader gets the right bytes
# if a later try succeeds within its deadline, else EIO; the daemon lives; once the server is well, so is everything.
. "$(dirname "$0")/lib-sluice.sh"

proxy=localhost:5444
control() {
    curl -sSf --cacert "$keys/ca.pem" "$@"
}

# break_next KIND TIMES: see faulty_proxy.py.
break_next() {
    control -X POST "https://$proxy/fault/$1/$2"
}

mend() {
    control -X POST "https://$proxy/mend"
}

faults_met() {
    control "https://$proxy/faults"
}

piece() {
    timeout -k 1 100 dd if="$1/file" bs=4096 skip="$2" count=1 status=none
}

same_piece() {
    cmp -s <(piece "$work/mnt" "$1") <(piece "$work/tree" "$1")
}

start_registry
mkdir "$work/tree"
random_bytes 16777216 bad-server >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v1"
python3 "$(dirname "$0")/faulty_proxy.py" "${proxy#*:}" "$registry" "$keys/server.pem" "$keys/server.key" >"$work/proxy.log" 2>&1 &
proxy_pid=$!
wait_for 30 "the proxy" control "https://$proxy/v2/"
# A deadline that no slow machine misses by itself, as long as a fault passes.
write_config 'read-ahead 0' 'read-deadline 80s' 'connect-timeout 20s'
start_daemon
mount_image "$proxy/app:v1" "$work/mnt"

# The first MiB comes with the mount, as metadata. Each piece lies in another 256 KiB, so that it was not fetched before.
wait_for 30 "the metadata to be here" idle
next=512
once=(500 503 503-soon 429 truncated short wrong-range wrong-bytes no-range whole slow garbage closed reset)
always=(500 503-late wrong-range wrong-bytes trickle garbage closed reset)
case $SLUICE_KERNEL in
stock-*) once=(500 truncated wrong-bytes reset) always=(503-late wrong-bytes trickle closed) ;; # the rest is not the kernel's
esac
for fault in "${once[@]}"; do
    say "$fault, once: the right bytes, late"
    next=$((next + 64))
    break_next $fault 1
    same_piece $next || die "the reader did not get the right bytes"
    expect_equal 1 "$(faults_met)" "faults that were met"
done

say "a server that always sends the whole blob is slow, but right"
next=$((next + 64))
break_next whole 1000000
same_piece $next || die "the reader did not get the right bytes"
mend
expect_equal 0 "$(counter reads_failed)" "failed reads"
sluicectl umount "$work/mnt"
wait_for 60 "the layer to be released" no_layers
stop_daemon

# And a short one, where faults do not pass: it has to be waited for.
write_config 'read-ahead 0' 'read-deadline 6s' 'connect-timeout 2s'
start_daemon
mount_image "$proxy/app:v1" "$work/mnt"
for fault in "${always[@]}"; do
    say "$fault, always: EIO, and right again afterwards"
    next=$((next + 64))
    failed=$(counter reads_failed)
    break_next $fault 1000000
    must_fail piece "$work/mnt" $next
    expect_text "$work/last-error" 'Input/output error'
    [ "$(faults_met)" -ge 1 ] || die "the fault was not met"
    [ "$(counter reads_failed)" -gt "$failed" ] || die "the failed read was not counted"
    mend
    wait_for 60 "the piece to be readable" same_piece $next
done

for fault in truncated short; do
    say "$fault, always: each answer's half is kept, and the first block is in it"
    next=$((next + 64))
    break_next $fault 1000000
    same_piece $next || die "the reader did not get the right bytes"
    [ "$(faults_met)" -ge 1 ] || die "the fault was not met"
    mend
done

say "in the end: all of it right, and every byte in the backing file proved"
cmp "$work/mnt/file" "$work/tree/file"
digest=$(blob_of "$proxy/app:v1")
cookie=$(cookie_of "$digest")
erofs_size=$(json blobs '.blobs[0].erofs_size')
sluicectl umount "$work/mnt"
wait_for 60 "the layer to be released" no_layers
stop_daemon
only_proved "$(backing_file "$cookie")" "$(blob_file "$digest")" "$erofs_size"
kill $proxy_pid
