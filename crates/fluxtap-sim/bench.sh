#!/usr/bin/env bash
# What fluxtap costs, as tables in Markdown on standard output; what it is doing on standard error.
# With WRITE=PAGE the tables also go into the page, between the marks that have the name of what was
# measured.
#
# Usage: bench.sh speed BIN_DIR OUT_DIR [RESPONSES:DOMAINS...]    beside what reading a file costs, and peers
#        bench.sh attack BIN_DIR OUT_DIR                          traffic made to be expensive, beside ordinary
#
# ROUNDS (5) is how often each program runs, in turn with the others: ratios are of one round, since
# a busy machine slows all of it. Captures that were made before are used again.
set -euo pipefail

what=$1
bin=$2
out=$3
shift 3
rounds=${ROUNDS:-5}
here=$(dirname "$0")
fluxtap=$bin/fluxtap
rows=$(mktemp)
trap 'rm -f "$rows" "$rows".*' EXIT
mkdir -p "$out"

say() { echo "bench: $*" >&2; }

# The capture that `fluxtap-sim` makes with these arguments, in the page cache.
capture() {
    local file
    file=$out/$(echo "$*" | tr -sc 'a-z0-9\n' '-').pcap
    if [ ! -s "$file" ]; then
        say "makes $(basename "$file")"
        "$bin/fluxtap-sim" "$@" --seed 1 --out "$file.part" >&2
        mv "$file.part" "$file"
    fi
    cat "$file" >/dev/null
    echo "$file"
}

# CPU seconds, user and system, of a command whose output nobody wants; `failed` if it did. A capture
# that was cut on purpose is status 65.
cpu_s() {
    local TIMEFORMAT='%U %S' times
    times=$({ time "$@" >/dev/null 2>&1; } 2>&1) || [ $? = 65 ] || { echo failed; return; }
    echo "$times" | awk '{ printf "%.3f", $1 + $2 }'
}
# Seconds on the clock.
wall_s() {
    local TIMEFORMAT='%R'
    { time "$@" >/dev/null 2>&1; } 2>&1
}
# The most memory it ever had, in MiB.
peak_mib() {
    if [ -x /usr/bin/time ]; then
        { /usr/bin/time -f 'peak %M' "$@" >/dev/null; } 2>&1 | awk '/^peak/ { printf "%.0f", $2 / 1024 }'
    else
        echo '?'
    fi
}
# `min, median, max` of the numbers on standard input, with so many digits behind the point.
spread() {
    sort -g | awk -v digits="$1" '{ value[NR] = $1 } END {
        form = "%." digits "f"
        printf form ", " form ", " form, value[1], value[int((NR + 1) / 2)], value[NR] }'
}
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# What a program is run as, with the file behind it.
command_of() {
    case $1 in
        'plain read') echo cat ;;
        'libpcap loop') echo "$bin/examples/floor libpcap" ;;
        'own reader') echo "$bin/examples/floor own" ;;
        fluxtap) echo "$fluxtap replay --quiet --workers 1" ;;
        'dnsjit, parse only') echo "dnsjit $here/peers/walk.lua" ;;
        'dnscap, counters') echo "dnscap_counters" ;;
        'tshark, statistics') echo "tshark -n -q -z dns,tree -r" ;;
    esac
}
dnscap_counters() {
    dnscap -r "$1" -P "$(ls /usr/lib/*/dnscap/rssm.so /usr/lib/dnscap/rssm.so 2>/dev/null | head -n 1)" -w "$out/dnscap"
    rm -f "$out"/dnscap.*
}

# A table over one capture: every program that is named, in turn.
compare() {
    local file=$1 responses=$2 program round
    shift 2
    : >"$rows"
    for round in $(seq "$rounds"); do
        for program in "$@"; do
            # It is slow enough for one round to tell.
            if [ "$program" = 'tshark, statistics' ] && [ "$round" != 1 ]; then continue; fi
            # The host of a virtual machine takes back memory that lies free for seconds, and who needs it
            # next waits: a tenth of a run over a million responses. So each has just run once before.
            # shellcheck disable=SC2046 # a command is words
            [ "$program" = 'tshark, statistics' ] || cpu_s $(command_of "$program") "$file" >/dev/null
            # shellcheck disable=SC2046
            printf '%s\t%s\t%s\n' "$round" "$program" "$(cpu_s $(command_of "$program") "$file")" >>"$rows"
        done
        say "$(basename "$file"), round $round: $(awk -F '\t' -v r="$round" '$1 == r { printf "%s %s s; ", $2, $3 }' "$rows")"
    done
    echo '| program | CPU, s (median) | over the libpcap loop: min, median, max | responses a CPU second | peak, MiB |'
    echo '|---|---|---|---|---|'
    for program in "$@"; do
        if grep -q "$program"$'\t'failed "$rows"; then
            say "$program fails on this capture and is left out"
            continue
        fi
        awk -F '\t' -v program="$program" '
            $2 == "libpcap loop" { floor[$1] = $3 }
            $2 == program { own[$1] = $3 }
            END { for (round in own) print own[round] / floor[round] }' "$rows" >"$rows.ratios"
        awk -F '\t' -v program="$program" '$2 == program { print $3 }' "$rows" | median >"$rows.cpu"
        # shellcheck disable=SC2046
        echo "| $program | $(cat "$rows.cpu") | $(spread 2 <"$rows.ratios") | $(
            awk -v n="$responses" '{ printf "%d", n / $1 }' "$rows.cpu") | $(
            case $program in dnscap*) echo '?' ;; *) peak_mib $(command_of "$program") "$file" ;; esac) |"
    done
}

# What a replay takes in instructions, with so many workers.
counted() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$fluxtap" replay --quiet --workers "$1" "$2" 2>&1 >/dev/null | awk '/Collected/ { print $NF }'
}
# Instructions a response without start-up, which is what the first packets of the capture take, and
# what they are with two workers.
instructions() {
    local responses=120000 file start whole two
    file=$(capture bench --responses "$responses" --domains 12000)
    say "counts the instructions over $responses responses"
    beginning "$file" 2000 "$out/start.pcap"
    start=$(counted 1 "$out/start.pcap") whole=$(counted 1 "$file") two=$(counted 2 "$file")
    rm -f "$out/start.pcap"
    awk -v a="$start" -v b="$whole" -v c="$two" -v n="$responses" 'BEGIN {
        printf "| instructions | %d a response; start-up %.0f million |\n", (b - a) / n, a / 1e6
        printf "| two workers over one, instructions | %.2f |\n", c / b }'
}

# The first bytes of a capture, a cut packet at the end.
beginning() { head -c "$2" "$1" >"$3"; }

# A number of the `--stats` by a pattern that ends before it.
stat_of() { grep -o "$1[0-9]*" "$rows.stats" | head -n 1 | grep -o '[0-9]*$'; }

machine() {
    echo "Measured on $(date -u +%Y-%m-%d): $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)," \
        "$(nproc) cores, $(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB," \
        "Linux $(uname -r | cut -d- -f1), load $(cut -d' ' -f1 /proc/loadavg); $rounds rounds;" \
        "fluxtap is what \`make $(cmp -s "$fluxtap" "$bin"/../profiled/*/optimised/fluxtap && echo optimised || echo build)\` builds."
    echo
}

speed() {
    local sizes=("$@") size responses domains file
    [ "${#sizes[@]}" -gt 0 ] || sizes=(1000000:200000 5000000:200000 5000000:1150000)
    machine
    local peers=()
    command -v dnsjit >/dev/null && peers+=('dnsjit, parse only')
    command -v dnscap >/dev/null && peers+=('dnscap, counters')
    command -v tshark >/dev/null && peers+=('tshark, statistics')
    for size in "${sizes[@]}"; do
        responses=${size%:*} domains=${size#*:}
        file=$(capture bench --responses "$responses" --domains "$domains")
        echo "### $responses responses, $domains domains, $(($(stat -c %s "$file") / 1000000)) MB"
        echo
        compare "$file" "$responses" 'plain read' 'libpcap loop' 'own reader' fluxtap "${peers[@]}"
        peers=()
        "$fluxtap" replay --quiet --workers 1 --stats "$rows.stats" "$file" >"$rows.alerts"
        echo
        local domains_tracked bytes
        domains_tracked=$(stat_of '"domains_tracked":') bytes=$(stat_of '"windows":{"bytes":')
        echo "$(wc -l <"$rows.alerts") alert lines; $domains_tracked domains tracked in" \
            "$((bytes / 1048576)) MiB, $((bytes / domains_tracked)) bytes each."
        echo
    done
    file=$(capture bench --responses "${sizes[0]%:*}" --domains "${sizes[0]#*:}")
    for _ in $(seq "$rounds"); do
        echo "$(wall_s "$fluxtap" replay --quiet --workers 1 "$file") $(wall_s "$fluxtap" replay --quiet --workers 2 "$file")" |
            awk '{ print $1 / $2 }'
    done >"$rows.workers"
    echo '| what | |'
    echo '|---|---|'
    echo "| two workers over one, wall: min, median, max | $(spread 2 <"$rows.workers") |"
    if [ "${#sizes[@]}" -gt 1 ]; then flatness; fi
    if command -v valgrind >/dev/null; then instructions; fi
}

# Cost of the last million of responses over that of the first: by files that are cut there.
flatness() {
    local file size first most whole start
    file=$(capture bench --responses 5000000 --domains 200000)
    size=$(stat -c %s "$file")
    beginning "$file" $((size / 5)) "$out/first.pcap"
    beginning "$file" $((size / 5 * 4)) "$out/most.pcap"
    beginning "$file" 2000 "$out/start.pcap"
    for _ in $(seq "$rounds"); do
        start=$(cpu_s "$fluxtap" replay --quiet --workers 1 "$out/start.pcap")
        first=$(cpu_s "$fluxtap" replay --quiet --workers 1 "$out/first.pcap")
        most=$(cpu_s "$fluxtap" replay --quiet --workers 1 "$out/most.pcap")
        whole=$(cpu_s "$fluxtap" replay --quiet --workers 1 "$file")
        say "start $start s, 1 M $first s, 4 M $most s, 5 M $whole s"
        awk -v s="$start" -v f="$first" -v m="$most" -v w="$whole" 'BEGIN { print (w - m) / (f - s) }'
    done >"$rows.flat"
    rm -f "$out/first.pcap" "$out/most.pcap" "$out/start.pcap"
    echo "| last million of 5 over the first: min, median, max | $(spread 2 <"$rows.flat") |"
}

attack() {
    local count=300000 kind kinds file start ordinary cost bytes peak
    kinds=$("$bin/fluxtap-sim" attacks)
    machine
    file=$(capture bench --responses "$count" --domains 60000)
    beginning "$file" 2000 "$out/start.pcap"
    start=$(for _ in $(seq "$rounds"); do cpu_s "$fluxtap" replay --quiet --workers 1 "$out/start.pcap"; echo; done | median)
    rm -f "$out/start.pcap"
    ordinary=
    echo '| traffic | bytes a response | CPU, µs a response | over ordinary traffic | the same by byte | peak, MiB | alert lines |'
    echo '|---|---|---|---|---|---|---|'
    for kind in ordinary $kinds; do
        if [ "$kind" != ordinary ]; then file=$(capture attack "$kind" --responses "$count"); fi
        bytes=$(stat -c %s "$file")
        cost=$(for _ in $(seq "$rounds"); do cpu_s "$fluxtap" replay --quiet --workers 1 "$file"; echo; done | median)
        peak=$(peak_mib "$fluxtap" replay --quiet --workers 1 "$file")
        say "$kind: $cost s"
        : "${ordinary:=$cost $bytes}"
        echo "$kind $cost $start $bytes $count $ordinary $peak $("$fluxtap" replay --quiet --workers 1 "$file" | wc -l)" |
            awk '{ cpu = $2 - $3; usual = $6 - $3
                printf "| %s | %d | %.2f | %.1f | %.1f | %s | %d |\n", $1, $4 / $5, cpu / $5 * 1e6,
                    cpu / usual, cpu / $4 / (usual / $7), $8, $9 }'
        if [ "$kind" != ordinary ]; then rm -f "$file"; fi
    done
}

if [ -z "${WRITE:-}" ]; then
    "$what" "$@"
else
    "$what" "$@" | tee "$rows.tables"
    awk -v tables="$rows.tables" -v from="<!-- begin $what -->" -v to="<!-- end $what -->" '
        $0 == to { is_old = 0 }
        !is_old { print }
        $0 == from { is_old = 1; while ((getline line <tables) > 0) print line }' "$WRITE" >"$rows.page"
    cat "$rows.page" >"$WRITE"
fi
