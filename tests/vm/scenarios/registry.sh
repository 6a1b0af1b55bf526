#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The helpers that later scenarios stand on: a registry over TLS, a tree of files, one flipped bit.
. "$(dirname "$0")/lib.sh"

start_registry
curl() { command curl -sS --cacert "$keys/ca.pem" "$@"; }
digest=sha256:$(printf 'a blob' | sha256sum | cut -d ' ' -f 1)
location=$(curl -f -X POST -o /dev/null -w '%header{location}' "https://$registry/v2/scenario/blobs/uploads/")
curl -f -X PUT -H 'Content-Type: application/octet-stream' --data-binary 'a blob' "$location&digest=$digest"
expect_equal 'lob' "$(curl -f -r 3-5 "https://$registry/v2/scenario/blobs/$digest")" "a range of the blob"
grep -q "GET /v2/scenario/blobs/$digest" "$registry_log" || die "the registry's log has no line for the request"
expect_equal 3 "$(downloaded)" "what the registry says it has sent"

tamper "$(blob_file "$digest")" 0
expect_equal '` blob' "$(curl -f "https://$registry/v2/scenario/blobs/$digest")" "the blob with one bit flipped"
stop_registry
must_fail curl -f "https://$registry/v2/"

make_tree "$work/a"
make_tree "$work/b"
same_tree "$work/a" "$work/b"
tamper "$work/b/large" 5000000
must_fail same_tree "$work/a" "$work/b"
