#!/usr/bin/env bash
# Prints the CPU time of `fluxtap replay` in one thread over that of a bare libpcap loop, in the same
# rounds over the same file, as min, median and max; then how much sooner two workers are done than
# one. A capture that was made before is used again.
#
# Usage: bench.sh BIN_DIR OUT_DIR [RESPONSES DOMAINS [ROUNDS]]
set -euo pipefail

bin=$1
out=$2
responses=${3:-1000000}
domains=${4:-200000}
rounds=${5:-5}
capture=$out/bench-$responses-$domains.pcap

mkdir -p "$out"
if [ ! -s "$capture" ]; then
    "$bin/fluxtap-sim" bench --seed 1 --responses "$responses" --domains "$domains" \
        --out "$capture.part"
    mv "$capture.part" "$capture"
fi
# Reading it once brings it into the page cache, so that no round pays for the disk.
cat "$capture" >/dev/null

# CPU seconds, user and system, of a command whose output nobody wants.
TIMEFORMAT='%U %S'
cpu_s() {
    { time "$@" >/dev/null 2>&1; } 2>&1 | awk '{ printf "%.3f", $1 + $2 }'
}

echo "capture $(basename "$capture"): $(($(stat -c %s "$capture") / 1000000)) MB"
echo "machine $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
for round in $(seq "$rounds"); do
    libpcap=$(cpu_s "$bin/examples/floor" libpcap "$capture")
    own=$(cpu_s "$bin/examples/floor" own "$capture")
    fluxtap=$(cpu_s "$bin/fluxtap" replay --quiet --workers 1 "$capture")
    echo "round $round: libpcap loop $libpcap s, own reader $own s, fluxtap $fluxtap s"
    echo "$libpcap $own $fluxtap" >>"$rows"
done
# Ratios of one round belong together: a busy machine slows both.
awk '{ printf "%.2f %.2f\n", $2 / $1, $3 / $1 }' "$rows" >"$rows.ratios"
spread() {
    cut -d' ' -f"$1" "$rows.ratios" | sort -n | awk '
        { value[NR] = $1 }
        END { printf "min %.2f, median %.2f, max %.2f", value[1], value[int((NR + 1) / 2)], value[NR] }'
}
echo "own reader over libpcap loop: $(spread 1)"
echo "fluxtap over libpcap loop:    $(spread 2)"
median=$(cut -d' ' -f3 "$rows" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
echo "responses a CPU second:       $(awk -v r="$responses" -v s="$median" 'BEGIN { printf "%d", r / s }')"

# Wall seconds of a replay with so many workers.
wall_s() {
    local TIMEFORMAT='%R'
    { time "$bin/fluxtap" replay --quiet --workers "$1" "$capture" >/dev/null 2>&1; } 2>&1
}
for round in $(seq "$rounds"); do
    echo "$(wall_s 1) $(wall_s 2)" | awk '{ printf "%.2f\n", $1 / $2 }' >>"$rows.ratios.workers"
done
mv "$rows.ratios.workers" "$rows.ratios"
echo "two workers over one, wall:   $(spread 1)"
stats=$("$bin/fluxtap" replay --quiet --stats - "$capture" 2>&1 >/dev/null)
echo "windows:                      $(echo "$stats" | grep -o '"bytes":[0-9]*\|"domains_tracked":[0-9]*' | tr '\n' ' ')"
rm -f "$rows.ratios"
