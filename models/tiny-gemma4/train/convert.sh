#!/bin/sh
# convert.sh CKPT_DIR LLAMA_CPP_CHECKOUT OUT_DIR : checkpoints -> the three GGUF files, with llama.cpp's own converter and the chat template beside this folder
set -eu
here=$(cd "$(dirname "$0")" && pwd); ckpt=$1; llama=$2; out=$3; py=${PYTHON:-python3}
hf=$(mktemp -d); trap 'rm -rf "$hf"' EXIT; mkdir -p "$out"
"$py" "$here/export.py" "$ckpt" "$hf" "$here/../chat_template.jinja"
"$py" "$llama/convert_hf_to_gguf.py" "$hf/target" --outfile "$out/tiny-gemma4-moe-Q8_0.gguf" --outtype q8_0 --model-name "Tiny Gemma 4 MoE"
"$py" "$llama/convert_hf_to_gguf.py" "$hf/assistant" --outfile "$out/tiny-gemma4-moe-Q8_0-MTP.gguf" --outtype q8_0 --model-name "Tiny Gemma 4 MoE MTP"
"$py" "$llama/convert_hf_to_gguf.py" "$hf/target" --mmproj --outfile "$out/mmproj-tiny-gemma4-F16.gguf" --outtype f16 --model-name "Tiny Gemma 4 vision"
if [ -n "${KEEP_HF:-}" ]; then cp -r "$hf" "$KEEP_HF"; fi
