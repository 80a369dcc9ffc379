#!/usr/bin/env bash
# The main job by REST: exchange the API key, list the strategies, create a backtest, watch it to its end, read its
# result, look at live data. Prints the backtest as JSON; its orders are written to FOLDER/orders.arrow, its page to
# FOLDER/tearsheet.html, and twenty messages of live quotes to FOLDER/live.jsonl.
# Usage: MESH_API_KEY=nm_... rest.sh http://127.0.0.1:8080 backtest.json FOLDER
set -euo pipefail
base=$1 spec=$2 folder=$3

# Both read JSON from standard input: `field a.b` prints what is there, `bytes a.b` joins it over the lines of a stream.
field() { python3 -c 'import json, sys, functools as f
print(f.reduce(lambda v, k: v[k], sys.argv[1].split("."), json.load(sys.stdin)))' "$1"; }
bytes() { python3 -c 'import base64, json, sys, functools as f
for line in filter(str.strip, sys.stdin):
    found = f.reduce(lambda v, k: v[k], sys.argv[1].split("."), json.loads(line))
    sys.stdout.buffer.write(base64.b64decode(found))' "$1"; }
call() { curl --silent --show-error --fail-with-body --config <(printf 'header = "%s"\n' "$auth") "$@"; }

auth="accept: application/json"
token=$(call "$base/v1/auth:exchange" --data @- <<<"{\"api_key\": \"$MESH_API_KEY\"}" | field token)
auth="authorization: Bearer $token" # in a file descriptor: what is on a command line, everybody can see

call "$base/v1/strategies" >&2
request=$(printf '{"request_id": "%s", "name": "by REST", "spec": %s}' "$(cat /proc/sys/kernel/random/uuid)" "$(cat "$spec")")
id=$(call "$base/v1/backtests" --data "$request" | field backtest.backtestId)
call --no-buffer "$base/v1/backtests/$id:watch" >&2 # a line for each event, until the run has ended
call "$base/v1/backtests/$id/tables/RESULT_TABLE_ORDERS" | bytes chunk.data >"$folder/orders.arrow"
call "$base/v1/backtests/$id/tearsheet" | bytes data >"$folder/tearsheet.html"

channels='[{"kind": "DATA_KIND_QUOTE_TICK", "instrument_id": "EUR/USD.SIM"}]'
request=$(printf '{"request_id": "%s", "feed_id": "sample-replay", "channels": %s, "delivery": "DELIVERY_LOSSLESS",
                   "idle_timeout": "30s"}' "$(cat /proc/sys/kernel/random/uuid)" "$channels")
live=$(call "$base/v1/subscriptions" --data "$request" | field subscription.subscriptionId)
# An object on a line as it comes, for ever: curl ends when `head` has what it wants.
watch=(call --no-buffer "$base/v1/subscriptions:watchData" --data "{\"subscription_ids\": [\"$live\"]}")
{ "${watch[@]}" 2>/dev/null | grep --line-buffered . || true; } | head -n 20 >"$folder/live.jsonl"

call "$base/v1/backtests/$id"
