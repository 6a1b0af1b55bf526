#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What an operator sees and orders: what Prometheus is told, over the control socket and over TCP, of reads that were
# served and of one that failed, and promtool's opinion of that, where it is installed (Debian: prometheus); top; prefetch.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib-native.sh"

address=127.0.0.1:9753
scrape() {
    curl --silent --show-error --fail --unix-socket "$work/control.sock" http://localhost/metrics
}
scrape_tcp() {
    curl --silent --show-error --fail "http://$address/$1"
}
# metric NAME: its value; a name with labels as it stands.
metric() {
    scrape | awk -v name="$1" '$1 == name { print $2 }'
}

start_registry
mkdir "$work/tree"
random_bytes 4000000 metrics >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/app:v1"

say "over the control socket"
write_config "metrics-address $address" 'read-deadline 2s' 'read-ahead 0'
start_daemon
mount_image "$registry/app:v1" "$work/mnt"
head -c 1000000 "$work/mnt/file" | cmp -n 1000000 - "$work/tree/file"
[ "$(metric 'sluice_reads_answered_total{front_end="fuse",outcome="ok"}')" -gt 0 ] || die "no read was counted"
[ "$(metric sluice_fetched_bytes_total)" -ge 1000000 ] || die "fetched: $(metric sluice_fetched_bytes_total)"
expect_equal 1 "$(metric sluice_images)" "images"
expect_equal "$(metric 'sluice_read_duration_seconds_bucket{front_end="fuse",le="+Inf"}')" \
    "$(metric 'sluice_read_duration_seconds_count{front_end="fuse"}')" "reads in all classes"
curl --silent --output /dev/null --write-out '%{content_type}' --unix-socket "$work/control.sock" \
    http://localhost/metrics >"$work/type"
expect_text "$work/type" '^text/plain; version=0.0.4'

say "top: for people a page of 80 columns, for programs lines of JSON"
sluicectl top --interval 0.2 >"$work/page"
expect_text "$work/page" "^$registry/app:v1 .* 1\$"
[ "$(wc -L <"$work/page")" -le 80 ] || die "wider than 80 columns: $(cat "$work/page")"
sluicectl top --json --interval 0.2 --count 2 >"$work/lines"
expect_equal 2 "$(jq -s length "$work/lines")" "lines of JSON"
jq -e --arg name "$registry/app:v1" '.images[0] | .reference == $name and .stored_bytes > 0' "$work/lines" >"$work/answers"
must_fail sluicectl top --interval 0

say "prefetch: all of an image, mounted or not, and nothing twice"
random_bytes 3000000 whole >"$work/tree/file"
publish --from-dir "$work/tree" "$registry/whole:v1"
mount_image "$registry/whole:v1" "$work/whole"
head -c 500000 "$work/whole/file" | cmp -n 500000 - "$work/tree/file"
before=$(metric sluice_fetched_bytes_total)
sluicectl prefetch --json "$registry/whole:v1" >"$work/prefetched"
jq -e --arg came $(($(metric sluice_fetched_bytes_total) - before)) '(.bytes_fetched | tostring) == $came and .bytes >= 3000000' \
    "$work/prefetched" >"$work/answers" || die "prefetch says $(cat "$work/prefetched")"
sluicectl prefetch "$registry/whole:v1" >"$work/prefetched"
expect_text "$work/prefetched" '; 0 B of that came just now$'
must_fail sluicectl prefetch "$registry/none:v1"

say "a read that fails"
stop_registry
drop_caches
cmp "$work/tree/file" "$work/whole/file"
sluicectl umount "$work/whole"
must_fail cat "$work/mnt/file"
failed=$(scrape | awk '/^sluice_reads_answered_total/ && !/outcome="ok"/ { sum += $2 } END { print sum + 0 }')
[ "$failed" -gt 0 ] || die "the failed read was not counted"
[ "$(metric sluice_reads_failed_total)" -gt 0 ] || die "the failed read was not counted"

say "docs/metrics.md has all of them, and no others"
scrape | awk '/^# TYPE/ { print $3, $4 }' | sort >"$work/told"
# shellcheck disable=SC2016 # backticks of Markdown
sed -n 's/^| `\(sluice_[a-z_]*\)` | \([a-z]*\) | .*/\1 \2/p' "$SLUICE_SOURCE_DIR/docs/metrics.md" | sort >"$work/written"
diff "$work/told" "$work/written" || die "docs/metrics.md is not what the daemon says"

if promtool=$(command -v promtool); then
    say "promtool"
    scrape | "$promtool" check metrics || die "promtool does not like it"
fi

say "over TCP: the same, and nothing else"
expect_equal "$(scrape | grep -c '^# TYPE')" "$(scrape_tcp metrics | grep -c '^# TYPE')" "families"
must_fail scrape_tcp v1/status
must_fail curl --silent --fail --request POST "http://$address/v1/images"

say "an address that somebody else has keeps nobody from starting"
sluicectl umount "$work/mnt"
stop_daemon
start_registry
write_config "metrics-address 127.0.0.1:${registry##*:}"
start_daemon
expect_text "$work/sluiced.log" 'metrics-address 127.0.0.1:[0-9]+: Address already in use'
expect_equal 2 "$(metric sluice_images)" "images"
stop_daemon
