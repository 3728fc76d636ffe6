#!/bin/sh
# Checks and times the CUDA backend on this machine's card, in less than 8 minutes.
# It needs the driver; PyTorch and cuBLASLt are used where they are. Results go to
# gpu-check.json in the folder $OUT, or beside this, after every section.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$here}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xzf "$here/pack.tar.gz" -C "$work"
# The driver and cuBLASLt may lie where the loader does not look.
for pattern in /usr/local/nvidia/lib64/libcuda.so.1 /usr/local/nvidia/lib/libcuda.so.1 \
  /usr/local/cuda/lib64/libcublasLt.so.1[23] /usr/local/cuda/compat/libcuda.so.1; do
  for file in $pattern; do
    [ -e "$file" ] && LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$(dirname "$file")"
  done
done
packages=$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2>/dev/null || true)
for file in "$packages"/nvidia/*/lib/libcublasLt.so.1[23]; do
  [ -e "$file" ] && LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$(dirname "$file")"
done
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}"
nvidia-smi >"$out/nvidia-smi.txt" 2>&1 || true
cd "$work" # gorgonia.org/cu and tests leave files where they are
"$work/gpu-check" -sections -report "$out/gpu-check.json" -program "$work/gespann-cuda" -data "$work/mnist" "$@"
