#!/usr/bin/env bash
# Install those of the named Debian packages that are missing. Uses sudo only where we are not root.
set -euo pipefail

missing=()
for package in "$@"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
  echo "error: this machine has no apt-get; install by its own means: ${missing[*]}" >&2
  exit 1
fi
root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || {
    echo "error: as root, run: apt-get install ${missing[*]}" >&2
    exit 1
  }
  root=(sudo)
fi
echo "installing: ${missing[*]}" >&2
install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends
  "${missing[@]}")
"${install[@]}" </dev/null >/dev/null || {
  "${root[@]}" apt-get update -qq </dev/null >/dev/null
  "${install[@]}" </dev/null >/dev/null
}
