#!/bin/sh
# Writes Cargo.lock anew after a change of manifest.toml or stubs.txt.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/stubs"
: >"$work/stubs/empty.rs"
cp manifest.toml "$work/Cargo.toml"
while read -r name version features; do
    mkdir "$work/stubs/$name"
    {
        printf '[package]\nname = "%s"\nversion = "%s"\nedition = "2021"\n' "$name" "$version"
        printf '[lib]\npath = "../empty.rs"\n[features]\n'
        for feature in $features; do
            printf '%s = []\n' "$feature"
        done
    } >"$work/stubs/$name/Cargo.toml"
done <stubs.txt

cargo generate-lockfile --manifest-path "$work/Cargo.toml"
if [ "$(grep -c '^source = ' "$work/Cargo.lock")" -ne 1 ]; then
    echo "relock: these packages have no stub; add them to stubs.txt and to [patch.crates-io]:" >&2
    awk '/^name = /{ name = $3 } /^source = /{ print "    " name }' "$work/Cargo.lock" >&2
    exit 1
fi
cp "$work/Cargo.lock" Cargo.lock
