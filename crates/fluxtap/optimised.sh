#!/usr/bin/env bash
# Puts a program in the place of what `cargo build --release` made that was compiled with a profile of
# its own work (https://doc.rust-lang.org/rustc/profile-guided-optimization.html): one is built that
# counts where it comes by, counts over generated traffic, and what it counted is given to the
# compiler. The traffic has other seeds than any that is measured.
#
# Usage: optimised.sh TARGET_DIR
#
# Without an `llvm-profdata` of the compiler's own version the program stays as it was built, which is
# said; status 0.
set -euo pipefail

target=$1
say() { echo "make: $*" >&2; }

host=$(rustc -vV | sed -n 's/^host: //p')
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
profdata=
for candidate in "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" "llvm-profdata-$version" llvm-profdata; do
    # One of another version does not read what the compiler's writes.
    if "$candidate" --version 2>/dev/null | grep -q "LLVM version $version\."; then
        profdata=$candidate
        break
    fi
done
if [ -z "$profdata" ]; then
    say "got no llvm-profdata of LLVM $version, so the program is built without a profile and takes about" \
        'a quarter more time; where Rust is from rustup, get it with: rustup component add llvm-tools'
    exit 0
fi

work=$(cd "$target" && pwd)/profiled
out=$work/$host/release/fluxtap
rm -rf "$work/counts" "$work/traffic"
mkdir -p "$work/counts" "$work/traffic"

# `cargo build` of the program with an option of the compiler; those of build scripts stay as they are.
# Options are parted by 0x1f, so that the folder's name may hold spaces.
build() {
    local given=${CARGO_ENCODED_RUSTFLAGS-${RUSTFLAGS:-}}
    CARGO_ENCODED_RUSTFLAGS=$(printf %s "$given${given:+ }" | tr ' ' '\037')$1 CARGO_TARGET_DIR=$work \
        cargo build --release -p fluxtap --target "$host"
}

build "-Cprofile-generate=$work/counts"
sim=$target/release/fluxtap-sim
"$sim" bench --seed 7 --responses 300000 --domains 60000 --out "$work/traffic/ordinary.pcap" >/dev/null 2>&1
# What is rare is compiled to be small, not fast; nobody is to choose such a path.
for kind in $("$sim" attack --help | tr '\n' ' ' | sed 's/.*possible values: \([^]]*\)\].*/\1/; s/,//g'); do
    "$sim" attack "$kind" --seed 7 --responses 10000 --out "$work/traffic/$kind.pcap" >/dev/null 2>&1
done
for capture in "$work"/traffic/*.pcap pcaps/demo/demo.pcap; do
    for workers in 1 2; do
        LLVM_PROFILE_FILE=$work/counts/%p.profraw "$out" replay --quiet --workers "$workers" "$capture" >/dev/null
    done
done
"$profdata" merge -o "$work/counts/all.profdata" "$work"/counts/*.profraw
rm -rf "$work/traffic" "$work"/counts/*.profraw

build "-Cprofile-use=$work/counts/all.profdata"
"$out" replay --quiet pcaps/demo/demo.pcap | cmp - pcaps/demo/expect.jsonl || {
    say "got other alerts than pcaps/demo/expect.jsonl from the program compiled with a profile; expected the same"
    exit 1
}
# Not written into: what is there may be a link to what cargo keeps.
install -m 755 "$out" "$target/release/fluxtap"
