#!/usr/bin/env bash
# Build the wheel into dist/, and beside it the CycloneDX bill of materials of what it runs on.
set -euo pipefail
cd "$(dirname "$0")/.."

rm -f dist/drd-*.whl dist/drd-*.cdx.json
.venv/bin/hatchling build -t wheel -d dist >/dev/null 2>&1 || .venv/bin/hatchling build -t wheel -d dist
wheel=$(ls dist/drd-*.whl)
PYTHONWARNINGS=ignore::UserWarning .venv/bin/cyclonedx-py requirements requirements/run.txt --pyproject pyproject.toml \
  --output-reproducible --output-format JSON --output-file "${wheel%-py3-none-any.whl}.cdx.json"
ls dist/drd-*
