#!/usr/bin/env bash
# Pin every dependency, direct or not, with hashes: pyproject.toml -> requirements/{run,dev}.txt.
# dev.txt holds run.txt's pins too, so one file makes the whole development environment.
# The files name packages and hashes only, never where they come from. Arguments (such as
# `--upgrade` or `--upgrade-package NAME`) go to the resolver.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(command -v uv || true)
if [[ -z $uv ]]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  "${PYTHON:-python3}" -m venv "$scratch"
  "$scratch/bin/pip" install --quiet uv
  uv=$scratch/bin/uv
fi

compile=("$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes
  --no-emit-index-url --no-emit-find-links)
"${compile[@]}" "$@" pyproject.toml -o requirements/run.txt
"${compile[@]}" "$@" pyproject.toml --group dev -c requirements/run.txt -o requirements/dev.txt

if grep -nE '://|^--(index|extra-index|find-links)' requirements/*.txt; then
  echo "error: the lines above name a host; requirements name packages only" >&2
  exit 1
fi
