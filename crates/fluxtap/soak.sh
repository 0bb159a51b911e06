#!/usr/bin/env bash
# Runs `fluxtap run` for long at a steady rate, over a veth pair in a network namespace of its own,
# with a checkpoint and a file sink, and says each minute what it holds, lost and told.
# Shown, never asserted. Needs root and tcpreplay.
#
# Usage: soak.sh BIN_DIR CAPTURE FLUX_CAPTURE MINUTES [RATE]
set -euo pipefail

if [ -z "${FLUXTAP_SOAK_INSIDE:-}" ]; then
    FLUXTAP_SOAK_INSIDE=1 exec unshare --net --mount --pid --fork --mount-proc "$0" "$@"
fi
bin=$1
capture=$2
flux=$3
minutes=$4
rate=${5:-2000}
for tool in curl tcpreplay; do
    command -v "$tool" >/dev/null || { echo "soak: got no $tool, expected it; install it" >&2; exit 1; }
done

. "$(dirname "$0")/veth.sh"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cat >"$out/config.toml" <<CONFIG
[checkpoint]
file = "$out/checkpoint"
[spool]
folder = "$out/spool"
[[sinks]]
name = "log"
type = "file"
path = "$out/alerts.jsonl"
CONFIG
"$bin/fluxtap" run -i fa --config "$out/config.toml" --log-format text >"$out/lines" 2>"$out/said" &
sensor=$!
until curl --silent --fail http://127.0.0.1:9353/healthz >/dev/null; do
    kill -0 "$sensor" 2>/dev/null || { cat "$out/said" >&2; exit 1; }
    sleep 0.2
done
tcpreplay --quiet --pps="$rate" --loop=1000000 -i fb "$capture" >/dev/null 2>&1 &
# A little flux, again and again, so that there is something to tell.
tcpreplay --quiet --pps=100 --loop=1000000 -i fb "$flux" >/dev/null 2>&1 &

value() { sed -n "s/^fluxtap_$1 //p" "$out/metrics"; }
printf '%6s %12s %8s %8s %10s %8s %12s %10s %8s\n' \
    minute packets dropped 'RSS MB' domains open lines delivered files
for minute in $(seq 0 "$minutes"); do
    curl --silent http://127.0.0.1:9353/metrics >"$out/metrics"
    printf '%6d %12d %8d %8.1f %10d %8d %12d %10d %8d\n' "$minute" \
        "$(value 'packets_total{interface="fa"}')" \
        "$(value 'capture_dropped_total{interface="fa",reason="kernel"}')" \
        "$(awk -v bytes="$(value resident_memory_bytes)" 'BEGIN { print bytes / 1e6 }')" \
        "$(value domains_tracked)" "$(value alerts_open)" "$(value alert_lines_total)" \
        "$(value 'sink_events_total{sink="log",result="delivered"}')" \
        "$(find "/proc/$sensor/fd" -type l | wc -l)"
    if [ "$minute" -lt "$minutes" ]; then sleep 60; fi
done
kill -TERM "$sensor"
wait "$sensor"
cat "$out/said"
