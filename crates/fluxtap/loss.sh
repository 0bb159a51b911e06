#!/usr/bin/env bash
# Says how many packets `fluxtap run` loses at rising rates beside a bare TPACKET_V3 reader that has
# the same ring and filter: over a veth pair, in a network namespace of its own, sent by tcpreplay.
# Shown, never asserted: sender and reader share the processors. Needs root and tcpreplay.
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

mount -t sysfs none /sys
ip link set lo up
ip link add name fa type veth peer name fb
for end in fa fb; do
    echo 1 >"/proc/sys/net/ipv6/conf/$end/disable_ipv6" 2>/dev/null || :
    ip link set "$end" up mtu 9000
done
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

start() {
    case $1 in
    bare) "$bin/examples/bare" fa "$ring_mib" 1 >"$out/bare" & ;;
    *)
        rings=${1#fluxtap}
        rings=${rings#-}
        "$bin/fluxtap" run -i fa --rings "${rings:-1}" --ring "${ring_mib}MiB" --metrics none \
            --stats "$out/stats" --log-format text >"$out/lines" 2>"$out/said" &
        until grep -q 'in force' "$out/said"; do sleep 0.05; done
        ;;
    esac
    reader=$!
    sleep 0.3
}

# Packets read, and dropped by the kernel.
finish() {
    if [ "$1" = bare ]; then
        wait "$reader"
        tr ' ' '\n' <"$out/bare" | sed -n 's/^packets=//p; s/^dropped=//p' | tr '\n' ' '
        return
    fi
    sleep 0.3
    kill -TERM "$reader"
    wait "$reader"
    grep -o '"packets":[0-9]*' "$out/stats" | head -n 1 | tr -dc '0-9\n' | tr '\n' ' '
    grep -o '"dropped_by_kernel":[0-9]*' "$out/stats" | head -n 1 | tr -dc '0-9\n'
}

printf '%-12s %12s %12s %12s %12s %8s\n' reader 'asked pps' 'sent pps' read dropped 'loss %'
for rate in $rates; do
    for reader_name in $readers; do
        if [ "$rate" = 0 ]; then speed=--topspeed; else speed=--pps=$rate; fi
        limit=$((${rate/#0/500000} * seconds))
        start "$reader_name"
        tcpreplay --quiet --preload-pcap --loop=1000 "$speed" --limit="$limit" -i fb "$capture" \
            >"$out/sent" 2>&1
        sent=$(sed -n 's/^Rated: .* \([0-9.]*\) pps.*/\1/p' "$out/sent")
        # shellcheck disable=SC2046 # two numbers
        set -- $(finish "$reader_name")
        awk -v name="$reader_name" -v rate="$rate" -v sent="$sent" -v got="$1" -v lost="$2" 'BEGIN {
            printf "%-12s %12s %12.0f %12d %12d %8.2f\n", name, rate ? rate : "top", sent, got, lost,
                100 * lost / (got + lost)
        }'
    done
done
