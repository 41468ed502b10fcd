#!/usr/bin/env bash
# Prepares a measurement on a machine that has a GPU, PyTorch and transformers, but no network and little time.
# In the project's root:   bash benchmarks/gpu/prepare.sh
# puts into .gpu/ (ignored by git) the wheels that such a machine lacks, for its Python (3.12; PYTHON_VERSION=3.11
# prepares another). Then, on that machine, with the checkout and .gpu:   OUT=... bash benchmarks/gpu/run.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
version=${PYTHON_VERSION:-3.12}
wheels=$root/.gpu/wheels
rm -rf "$wheels" && mkdir -p "$wheels"
platforms=()
for glibc in manylinux_2_28 manylinux_2_17 manylinux2014 manylinux_2_5 manylinux1; do
  platforms+=(--platform "${glibc}_x86_64")
done
while read -r name; do
  python3 -m pip download --quiet --no-deps --only-binary=:all: -c "$root/constraints.txt" \
    --python-version "$version" --implementation cp --abi "cp${version/./}" --abi abi3 --abi none \
    "${platforms[@]}" --dest "$wheels" "$name" 2> "$root/.gpu/prepare.log" ||
    # Some are published as source alone; they are pure Python, so that a wheel made here serves there.
    python3 -m pip wheel --quiet --no-deps -c "$root/constraints.txt" --wheel-dir "$wheels" "$name" 2>> "$root/.gpu/prepare.log" ||
    { echo "error: no wheel of $name for Python $version (.gpu/prepare.log)" >&2; exit 1; }
done < "$root/benchmarks/gpu/missing.txt"
echo "$(find "$wheels" -name '*.whl' | wc -l) wheels, $(du -sm "$wheels" | cut -f1) MiB in .gpu/wheels"
