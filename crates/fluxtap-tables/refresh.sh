#!/bin/sh
# Fetches the two ip-location-db packages and makes the table from them that fluxtap-intel embeds.
#
# Usage: crates/fluxtap-tables/refresh.sh [VERSION]
#   VERSION  of both packages, such as 2.3.2026061719; the newest when left out
#
# Needs npm, tar and cargo, and the network for npm. The same version gives the same bytes. To take CSV files
# from elsewhere (the releases of the ip-location-db project), run the program itself:
#   cargo run --release -p fluxtap -- intel build --help
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
version=${1:-latest}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

for tool in npm tar cargo; do
    command -v "$tool" >/dev/null || {
        echo "refresh.sh: '$tool' is not installed; install it and run again" >&2
        exit 69
    }
done

fetch() {
    mkdir "$work/$1"
    archive=$(cd "$work" && npm pack --silent "@ip-location-db/$1@$version")
    tar -xzf "$work/$archive" -C "$work/$1"
    sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "$work/$1/package/package.json"
}

asn=$(fetch asn)
country=$(fetch asn-country)
if [ "$asn" != "$country" ]; then
    echo "refresh.sh: got asn $asn and asn-country $country, expected one version; name it as argument" >&2
    exit 65
fi

# The last part of a version is the time of the data: year, month, day, hour.
stamp=${asn##*.}
date=$(printf '%s\n' "$stamp" | sed -n 's/^\([0-9]\{4\}\)\([0-9]\{2\}\)\([0-9]\{2\}\)[0-9]\{0,2\}$/\1-\2-\3/p')
if [ -z "$date" ]; then
    echo "refresh.sh: got version $asn, expected its last part to be a day such as 2026061719" >&2
    exit 65
fi

cd "$root"
cargo run --quiet --release -p fluxtap -- intel build --no-embedded \
    --asn "$work/asn/package/asn-ipv4.csv" --asn "$work/asn/package/asn-ipv6.csv" \
    --country "$work/asn-country/package/asn-country-ipv4.csv" \
    --country "$work/asn-country/package/asn-country-ipv6.csv" \
    --classes sensor-config/asn-classes.tsv \
    --date "$date" \
    --source "ip-location-db asn and asn-country $asn (RouteViews, DB-IP, NRO; CC BY 4.0; merged and packed)" \
    --out crates/fluxtap-intel/data/addresses.fxtb
