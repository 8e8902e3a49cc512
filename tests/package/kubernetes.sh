#!/bin/bash
# Checks the manifests of examples/kubernetes against the schemas of Kubernetes, strictly: with the
# kubernetes-validate on PATH, or with PyPI's, installed below target/.  Says loudly if there is
# none, and fails then if CI=true.
set -euo pipefail

cd "$(dirname "$0")/../.."
place=target/tools/kubernetes
validate=$(command -v kubernetes-validate || echo "$place/bin/kubernetes-validate")
if [ ! -x "$validate" ] && ! {
    python3 -m venv "$place" && "$place/bin/pip" install -q kubernetes-validate==1.37.0
}; then
    echo "*** SKIPPED: no kubernetes-validate, and none to be had from PyPI ***" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
fi
mistaken=$(mktemp --suffix=.yaml)
trap 'rm -f "$mistaken"' EXIT
for manifest in examples/kubernetes/*.yaml; do
    "$validate" --strict --quiet "$manifest"
    # It has to know a mistake when it sees one.
    sed 's/replicas:/replicsa:/' "$manifest" >"$mistaken"
    if said=$("$validate" --strict --quiet "$mistaken" 2>&1) || [[ "$said" != *replicsa* ]]; then
        echo "*** kubernetes-validate takes anything" >&2
        exit 1
    fi
    echo "$manifest is valid"
done
