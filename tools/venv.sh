#!/usr/bin/env bash
# Make .venv from requirements/dev.txt (pinned, with hashes) and install drd into it, editable.
# The interpreter: $PYTHON, else the first python3 that is new enough. Made anew when the pins change.
set -euo pipefail
cd "$(dirname "$0")/.."

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 /usr/bin/python3}; do
    if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

find_python >/dev/null || tools/apt.sh python3 python3-venv
python=$(find_python) || {
  echo "error: no Python >= 3.11 found${PYTHON:+ at PYTHON=$PYTHON}; Debian 12 and later have one" >&2
  exit 1
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || tools/apt.sh python3-venv

pins=$(grep -v '^ *#' requirements/dev.txt | sha256sum | cut -d' ' -f1)
if [[ $(cat .venv/pins 2>/dev/null) != "$pins" ]]; then
  "$python" -m venv --clear .venv
  # An index that answers with nothing for a moment counts for pip as a package that does not exist: it
  # tries only connections again. What was fetched is in its cache by then.
  for pause in 5 30 0; do
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
      -r requirements/dev.txt && break
    ((pause)) || exit 1
    sleep "$pause"
  done
  echo "$pins" >.venv/pins
fi
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
.venv/bin/python tools/link_ceph.py || true # told what to install; all other sources work without
touch .venv/made
