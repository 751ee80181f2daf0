#!/usr/bin/env bash
# Reruns the evaluation: engine model against the real run, theory, the simulator's own speed, and every
# committed scenario with its report. Results go to out/evaluation; docs/evaluation.md tells how to read them.
#
#   make evaluate                      everything (under 60 minutes on 2 cores)
#   make evaluate ONLY="ramp niyama"   some scenarios alone
set -euo pipefail
cd "$(dirname "$0")/.."
uv="${UV:-uv}"
out=out/evaluation
jobs="$(nproc)"
wanted="${ONLY:-engine theory simulator ramp sensitivity preserve preserve-recorded prediction routing niyama scale}"
data="${PRESAGE_SHARED_DATA:-../shared/data}"
mkdir -p "$out"

if [ ! -d "$data/traces" ]; then
    echo "The traces are not at $data: set PRESAGE_SHARED_DATA to the folder that holds traces/ and engine/." >&2
    exit 1
fi

run() { "$uv" run --frozen --no-sync "$@"; }

step() { # step NAME COMMAND…: says what runs, and how long it took
    local name="$1" began=$SECONDS
    shift
    echo "── $name"
    "$@"
    echo "   $name took $((SECONDS - began)) s"
}

scenario() {
    run presage simulate "examples/scenarios/$1.yaml" --jobs "$jobs" \
        --json "$out/$1.json" --report "$out/$1.html"
}

scenario_json() { # of a kind that has no report
    run presage simulate "examples/scenarios/$1.yaml" --jobs "$jobs" --json "$out/$1.json"
}

for name in $wanted; do
    case "$name" in
        engine)
            step "the engine model against a real run" run presage engine validate \
                --profile rtxpro6000-llama-3.1-8b \
                --run "$data/engine/vllm-run_rtxpro6000_llama31-8b.jsonl.gz" \
                --meta "$data/engine/vllm-run_rtxpro6000_llama31-8b.meta.json" \
                --json "$out/engine.json" ;;
        theory) step "queueing theory" scenario_json queueing-theory ;;
        simulator) step "the simulator's speed" run python -m benchmarks.simulator ;;
        sensitivity) step "the ramp with other capacities" run python -m benchmarks.ramp sensitivity ;;
        niyama) step "scenario niyama" scenario_json niyama ;;
        ramp | preserve | preserve-recorded | prediction | routing | scale) step "scenario $name" scenario "$name" ;;
        *)
            echo "ONLY has '$name': known are engine theory simulator ramp sensitivity preserve preserve-recorded prediction routing niyama scale." >&2
            exit 1
            ;;
    esac
done
echo "Everything is in $out; docs/evaluation.md tells how to read it."
