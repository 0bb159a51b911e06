#!/usr/bin/env bash
# Says how many packets `fluxtap run` loses at rising rates beside a bare TPACKET_V3 reader that has
# the same ring and filter: over a veth pair, in a network namespace of its own, sent by tcpreplay.
# The sender, and with it the kernel's part of receiving, has the first processor, the reader all
# others. Shown, never asserted. Needs root, tcpreplay and two processors.
#
# Usage: loss.sh BIN_DIR CAPTURE [RATES [SECONDS [READERS]]]
#   RATES    packets a second, in quotes; 0 is as fast as it goes
#   READERS  of bare, fluxtap (one ring) and fluxtap-N (N rings), in quotes
set -euo pipefail

if [ -z "${FLUXTAP_LOSS_INSIDE:-}" ]; then
    FLUXTAP_LOSS_INSIDE=1 exec unshare --net --mount "$0" "$@"
fi
bin=$1
capture=$2
rates=${3:-50000 100000 200000 400000 0}
seconds=${4:-4}
readers=${5:-bare fluxtap fluxtap-2}
ring_mib=32
command -v tcpreplay >/dev/null || { echo 'loss: got no tcpreplay, expected it; install it' >&2; exit 1; }

. "$(dirname "$0")/veth.sh"
out=$(mktemp -d)
reader=
trap '[ -z "$reader" ] || kill "$reader" 2>/dev/null; rm -rf "$out"' EXIT
: >"$out/config.toml"

start() {
    case $1 in
    bare) taskset -c "1-$(($(nproc) - 1))" "$bin/examples/bare" fa "$ring_mib" 1 >"$out/bare" & ;;
    *)
        rings=${1#fluxtap}
        rings=${rings#-}
        taskset -c "1-$(($(nproc) - 1))" "$bin/fluxtap" run -i fa --config "$out/config.toml" --rings "${rings:-1}" --ring "${ring_mib}MiB" --metrics none \
            --stats "$out/stats" --log-format text >"$out/lines" 2>"$out/said" &
        reader=$!
        until grep -qs 'in force' "$out/said"; do
            kill -0 "$reader" 2>/dev/null || { cat "$out/said" >&2; exit 1; }
            sleep 0.05
        done
        ;;
    esac
    reader=$!
    sleep 0.3
}

# Packets read, and dropped by the kernel, into a file: a reader can only be waited for here.
finish() {
    if [ "$1" = bare ]; then
        wait "$reader"
        sed -n 's/^packets=\([0-9]*\) dropped=\([0-9]*\) .*/\1 \2/p' "$out/bare" >"$out/counts"
        return
    fi
    sleep 0.3
    kill -TERM "$reader"
    wait "$reader"
    sed 's/.*"dropped_by_kernel":\([0-9]*\),"dropped_by_sensor".*"packets":\([0-9]*\),.*/\2 \1/' \
        "$out/stats" >"$out/counts"
}

printf '%-12s %12s %12s %12s %12s %8s %8s\n' reader 'asked pps' 'sent pps' read dropped 'loss %' 'CPU s'
for rate in $rates; do
    for reader_name in $readers; do
        if [ "$rate" = 0 ]; then speed=--topspeed; else speed=--pps=$rate; fi
        limit=$((${rate/#0/500000} * seconds))
        start "$reader_name"
        taskset -c 0 tcpreplay --quiet --preload-pcap --loop=1000 "$speed" --limit="$limit" -i fb "$capture" \
            >"$out/sent" 2>&1
        sent=$(sed -n 's/^Rated: .* \([0-9.]*\) pps.*/\1/p' "$out/sent")
        cpu_s=$(awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$reader/stat")
        finish "$reader_name"
        read -r got lost <"$out/counts"
        awk -v name="$reader_name" -v rate="$rate" -v sent="$sent" -v got="$got" -v lost="$lost" -v cpu="$cpu_s" 'BEGIN {
            printf "%-12s %12s %12.0f %12d %12d %8.2f %8.2f\n", name, rate ? rate : "top", sent, got, lost,
                100 * lost / (got + lost), cpu
        }'
    done
done
