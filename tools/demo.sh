#!/usr/bin/env bash
# The main job on the embedded default: an image file as source, a directory as repository, a key file.
# Works in a new folder below $TMPDIR, as any user, and takes it away at the end (KEEP=1: leaves it).
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
stage=$(mktemp -d -t drd-demo.XXXXXX)
cd "$stage"
finish() {
  [[ -n ${KEEP:-} ]] && echo "left in $stage" && return
  rm -rf "$stage"
}
trap finish EXIT

say() { printf '\n\e[1m# %s\e[0m\n' "$*"; }
run() {
  printf '\e[36m$ %s\e[0m\n' "$*"
  eval "$*"
}
[[ -t 1 ]] || { say() { printf '\n# %s\n' "$*"; }; run() { printf '$ %s\n' "$*"; eval "$*"; }; }

mkdir images
truncate -s 1G images/vm-1.img
# Files of this machine stand for those of a guest: they compress as such files do.
tar -cf - -C / usr/lib usr/share 2>/dev/null | head -c 128M |
  dd of=images/vm-1.img bs=1M seek=64 conv=notrunc iflag=fullblock status=none || true
cat >drd.toml <<CONFIG
state_dir = "state"
[repository]
url = "file://$stage/repository"
[keys]
file = "repository.key"
[source.disks]
type = "device"
paths = ["images/*.img"]
CONFIG
export DRD_CONFIG=$stage/drd.toml

say "A repository, a key file for this host, a recovery sheet for the safe"
run drctl init --sheet sheet.txt
say "An image of 1 GiB, 128 MiB of it in use"
run drctl backup
say "A guest writes a file of 4 MiB, and ten single blocks elsewhere"
head -c 4M /dev/urandom | dd of=images/vm-1.img bs=1M seek=512 conv=notrunc iflag=fullblock status=none
for block in $(seq 20000 900 28100); do
  echo "change $block" | dd of=images/vm-1.img bs=4k seek="$block" conv=notrunc status=none
done
run drctl backup
run drctl ls disks/vm-1.img
say "Is it all there, does it decrypt, is it what the image holds?"
run drctl verify --level 2 --all
run drctl verify --level 4
say "This host burns down. The bucket and the sheet are left"
run rm -r state repository.key drd.toml
unset DRD_CONFIG
run drctl restore disks/vm-1.img --sheet sheet.txt --to file:vm-1-again.img
run cmp images/vm-1.img vm-1-again.img '&&' echo identical
run du -sh images/vm-1.img repository
