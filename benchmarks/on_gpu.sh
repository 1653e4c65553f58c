#!/usr/bin/env bash
# What a GPU is asked in at most ten minutes, in one call and without a network; see benchmarks/README.md#on-a-gpu.
#
#   benchmarks/on_gpu.sh pack SETS PREPARED:TASK ...   beforehand: prepared sets -> SETS/NAME.TASK.tar.xz
#   benchmarks/on_gpu.sh OUT [SETS]                    there: measure; OUT gets summary.md, summary.json, log.txt,
#                                                      benchmarks.tar.gz
#
# Each step has a time limit, and what it found is in OUT when the next one begins, so that a stop loses one step. With
# SETS the last step trains on them for as long as there is time: few methods on one fold, then more.
#
#   PYTHON           with torch, numpy and what the package needs; by default python3
#   ON_GPU_WHEELS    a folder of wheels that are missing there; by default .whl, where it is there
#   ON_GPU_SECONDS   for all of it; by default 570
#   ON_GPU_EPOCHS    of each training of the last step; by default 100 of the paper's 1000
#   ON_GPU_ENCODER   the encoders' first weights: a file; by default none, random ones
#   ON_GPU_SIZE      full, or toy: minutes on a processor, to try the script itself
set -u
cd "$(dirname "$0")/.." || exit
PYTHON=${PYTHON:-python3}

if [ "${1:-}" = pack ]; then
    shift
    exec "$PYTHON" benchmarks/packed_sets.py pack "$@"
fi

OUT=${1:?say where the results are to be written}
SETS=${2:-}
BUDGET=${ON_GPU_SECONDS:-570}
EPOCHS=${ON_GPU_EPOCHS:-100}
SIZE=${ON_GPU_SIZE:-full}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) || exit
WORK=$(mktemp -d) || exit
trap 'rm -rf "$WORK"' EXIT
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD/src" CUBLAS_WORKSPACE_CONFIG=:4096:8
WHEELS=${ON_GPU_WHEELS:-.whl}
if [ -d "$WHEELS" ]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$WORK/site" "$WHEELS"/*.whl || exit
    PYTHONPATH="$WORK/site:$PYTHONPATH"
fi

RESERVE=10 # seconds, to write the summary

# step NAME LIMIT COMMAND...: in what is left of the time, at most LIMIT seconds
step() {
    local name=$1 limit=$2 left=$((BUDGET - SECONDS - RESERVE)) began=$SECONDS code
    shift 2
    [ "$left" -lt "$limit" ] && limit=$left
    if [ "$limit" -lt 5 ]; then
        code=left-out
    else
        printf '\n== %s, at most %s s: %s\n' "$name" "$limit" "$*" >>"$OUT/log.txt"
        timeout --kill-after=8 "$limit" "$@" >>"$OUT/log.txt" 2>&1
        code=$?
    fi
    printf '%s\t%s\t%s\n' "$name" "$code" "$((SECONDS - began))" >>"$WORK/steps.tsv"
    summarise
    [ "$code" = 0 ]
}

summarise() {
    "$PYTHON" benchmarks/gpu_summary.py "$WORK" "$OUT" >>"$OUT/log.txt" 2>&1
}

: >"$OUT/log.txt"
if [ "$SIZE" = toy ]; then
    DEVICE=cpu EPOCHS=1 FEW=baseline MORE=baseline,wsdl FOLDS=1
    SPEED=(--methods baseline --size 64 --crop 56 --batch 2 --patients 4 --steps 1 --repeats 1 --workers 0 --device cpu)
    COMPILED=(--methods baseline --modes compile+graph) BITS=(--methods baseline --device cpu)
else
    DEVICE=cuda FEW=baseline,triple MORE=baseline,double,triple,triple-wsdl FOLDS=1,2,3
    SPEED=(--methods triple,baseline --device cuda)
    COMPILED=(--methods triple --modes compile,compile+graph) BITS=(--device cuda)
fi

step speed 110 "$PYTHON" benchmarks/train_step.py "${SPEED[@]}" --modes eager,graph --out "$WORK/speed.json"
step compiled 130 "$PYTHON" benchmarks/train_step.py "${SPEED[@]}" "${COMPILED[@]}" --no-plain \
    --out "$WORK/compiled.json"
step same_bits 110 "$PYTHON" benchmarks/same_bits.py "${BITS[@]}" --out "$WORK/same_bits.json"

# One fold of two methods of each set first, then more, so that whatever time there is is used.
GRAPH=$("$PYTHON" benchmarks/gpu_summary.py --graph "$WORK")
for stage in few more all; do
    case $stage in
    few) methods=$FEW folds=1 ;;
    more) methods=$MORE folds=$FOLDS ;;
    all) methods=baseline,wsdl,abn,mtdl,double,triple,triple-wsdl folds=1,2,3 ;;
    esac
    [ "$SIZE" = toy ] && [ "$stage" = all ] && break
    for archive in ${SETS:+"$SETS"/*.tar.xz}; do
        [ -e "$archive" ] || continue
        name=$(basename "$archive" .tar.xz)
        [ -d "$WORK/sets/$name" ] || "$PYTHON" benchmarks/packed_sets.py unpack "$archive" "$WORK/sets/$name" || continue
        step "$name.$stage" "$BUDGET" "$PYTHON" -m triplenet benchmark "$WORK/sets/$name" --out "$WORK/runs/$name" \
            --task "${name##*.}" --methods "$methods" --folds "$folds" --recipe default \
            --encoder "${ON_GPU_ENCODER:-none}" --set "training.epochs=$EPOCHS" --set "training.cuda_graph=$GRAPH" \
            --device "$DEVICE" --workers 1 --no-score-maps --no-figures
        "$PYTHON" benchmarks/packed_sets.py results "$WORK/runs" "$OUT/benchmarks.tar.gz"
    done
done
summarise
cat "$OUT/summary.md"
