#!/bin/sh
# Fails unless the packaged llama-sys has what it needs to find llama.cpp's source.
set -eu
list=$(cargo package --list --allow-dirty -p llama-sys)
for file in vendor/manifest.toml vendor/stubs.txt vendor/Cargo.lock native/CMakeLists.txt \
    native/shim/shim.h src/bindings.rs build/main.rs; do
    if ! printf '%s\n' "$list" | grep -qx "$file"; then
        echo "the package of llama-sys lacks $file" >&2
        exit 1
    fi
done
echo "the package of llama-sys is complete"
