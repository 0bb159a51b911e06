#!/usr/bin/env bash
# Puts a program in the place of what `cargo build --release` made that was compiled with a profile of
# its own work (https://doc.rust-lang.org/rustc/profile-guided-optimization.html): one is built that
# counts where it comes by, counts over generated traffic, and what it counted is given to the
# compiler. The traffic has other seeds than any that is measured.
#
# Usage: optimised.sh TARGET_DIR
#
# It needs an `llvm-profdata` of the compiler's own version, which rustup is asked for where there is
# none, unless NO_INSTALL is 1. Without one the program stays as it was built, which is said; status 0.
set -euo pipefail

target=$1
say() { echo "make: $*" >&2; }

host=$(rustc -vV | sed -n 's/^host: //p')
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
find_profdata() {
    local candidate
    for candidate in "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" "llvm-profdata-$version" llvm-profdata; do
        # One of another version does not read what the compiler's writes.
        if "$candidate" --version 2>/dev/null | grep -q "LLVM version $version\."; then
            profdata=$candidate
            return
        fi
    done
    return 1
}
profdata=
if ! find_profdata && command -v rustup >/dev/null && [ "${NO_INSTALL:-0}" != 1 ]; then
    say "missing: llvm-profdata of LLVM $version; installing with: rustup component add llvm-tools"
    rustup component add llvm-tools && find_profdata || :
fi
if [ -z "$profdata" ]; then
    say "got no llvm-profdata of LLVM $version, so the program is built without a profile and takes about" \
        'a sixth more time; get it where Rust is from rustup with: rustup component add llvm-tools' \
        "and else with the package of the system for LLVM $version"
    exit 0
fi

work=$(cd "$target" && pwd)/profiled
out=$work/$host/optimised/fluxtap
rm -rf "$work/counts" "$work/traffic"
mkdir -p "$work/counts" "$work/traffic"

# `cargo build` of the program with an option of the compiler; those of build scripts stay as they are.
# Those given in the environment stay. Encoded options are parted by 0x1f, so that what they name may
# hold spaces.
build() {
    local given=${CARGO_ENCODED_RUSTFLAGS-$(printf %s "${RUSTFLAGS:-}" | tr -s ' ' '\037')}
    CARGO_ENCODED_RUSTFLAGS=$given${given:+$'\037'}$1 CARGO_TARGET_DIR=$work \
        cargo build --profile optimised -p fluxtap --target "$host"
}
# A capture of this name, of what `fluxtap-sim` makes with the further arguments.
traffic() {
    local name=$1 told
    shift
    told=$("$target/release/fluxtap-sim" "$@" --seed 7 --out "$work/traffic/$name.pcap" 2>&1 >/dev/null) || {
        say "got no traffic to count over from fluxtap-sim $*, expected a capture: $told"
        exit 1
    }
}

build "-Cprofile-generate=$work/counts"
traffic ordinary bench --responses 300000 --domains 60000
# What is rare is compiled to be small, not fast; nobody is to choose such a path.
kinds=$("$target/release/fluxtap-sim" attacks)
for kind in $kinds; do
    traffic "$kind" attack "$kind" --responses 10000
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
