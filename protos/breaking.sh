#!/bin/sh
# Usage: breaking.sh BUF [BASELINE]. Fails when the contracts break who was built against the baseline.
# As an image, because buf compares folders module by module, and the vendored files are a module of their own.
set -eu
buf=$1 baseline=${2:-protos/baseline.binpb}
current=$(mktemp --suffix=.binpb)
trap 'rm -f "$current"' EXIT
"$buf" build --exclude-source-info -o "$current"
"$buf" breaking "$current" --against "$baseline"
