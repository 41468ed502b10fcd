#!/usr/bin/env bash
# Everything that waits for a GPU, in order of importance and in under nine minutes, without a network. In the project's
# root, after benchmarks/gpu/prepare.sh has filled .gpu/ on a machine with one:   OUT=results bash benchmarks/gpu/run.sh
# STEPS="smoke bench" chooses steps; SLOWER=20 makes their time limits longer, for a try without a GPU. Each has a time limit of its own, and its result is in $OUT as soon as it is there.
# Afterwards, anywhere:   python benchmarks/gpu/results.py $OUT   writes the table of docs/performance.md.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$(mkdir -p "${OUT:-gpu-results}" && cd "${OUT:-gpu-results}" && pwd)
work=${WORK:-$(mktemp -d)}
steps=${STEPS:-smoke bench tests default large}
cores=${CORES:-$(nproc)}
cd "$root" || exit 1
export PYTHONUNBUFFERED=1 PYTHONPATH=$root/src HF_HUB_OFFLINE=1

python3 -m venv "$work/venv" || exit 1
# What the machine brings with it, such as torch, is used where the wheels bring nothing newer.
python3 -c 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))' \
  > "$(echo "$work"/venv/lib/python3*/site-packages)/machine.pth"
. "$work/venv/bin/activate"
pip install --quiet --no-index --no-deps "$root"/.gpu/wheels/*.whl > "$out/pip.log" 2>&1 || { tail -n 3 "$out/pip.log"; exit 1; }
python benchmarks/gpu/bench.py --machine | tee "$out/machine.json"

study() { # directory, configuration, further arguments: a study in a directory of its own
  local place=$work/$1 configuration=$root/$2
  shift 2
  mkdir -p "$place"
  snakemake --cores "$cores" --directory "$place" --snakefile "$root/Snakefile" "$@" --configfile "$configuration"
}
keep() { # directory, name of the study, place in $out
  mkdir -p "$out/$3"
  cp -r "$work/$1/results/$2/tables" "$work/$1/results/$2/costs.csv" "$out/$3/"
}

# (a) The workflow on the GPU, and whether it says there what it says on the same machine's CPU.
smoke() {
  local exact='hardware={precision: float32}'
  CUDA_VISIBLE_DEVICES='' study cpu config/smoke.yaml --config "$exact" &&
    study gpu config/smoke.yaml --config "$exact" && keep gpu smoke smoke &&
    python benchmarks/gpu/compare.py "$work/cpu/results/smoke" "$work/gpu/results/smoke" --output "$out/smoke/compared.csv"
}
# (b) Speed.
bench() { python benchmarks/gpu/bench.py --output "$out/bench.jsonl"; }
# (c) What only a GPU shows.
tests() {
  python -m pytest -q -m "gpu or not gpu" -n 0 -p no:cacheprovider tests/training/test_on_a_gpu.py tests/evidence/test_fused.py
}
# (d) The default study.
default() { study default config/config.yaml && keep default default default; }
# (e) A study of a size for which one needs a GPU, as far as time goes; with WORK it goes on another time.
large() { study gpu_study config/gpu.yaml && keep gpu_study gpu gpu; }

export root out work cores
export -f study keep smoke bench tests default large
step() { # name, seconds
  local began=$SECONDS status
  [[ " $steps " == *" $1 "* ]] || return 0
  timeout -k 5 "$(($2 * ${SLOWER:-1}))" bash -c "$1" > "$out/$1.log" 2>&1
  status=$?
  echo "$1: status $status after $((SECONDS - began)) s" | tee -a "$out/steps.txt"
  tail -n 5 "$out/$1.log"
}
step smoke 150
step bench 150
step tests 80
step default 100
step large "${LARGE_SECONDS:-50}"
