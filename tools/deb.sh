#!/usr/bin/env bash
# Build dist/drd_VERSION_ARCH.deb with plain dpkg-deb. Same commit, same machine: same bytes.
# The Python libraries are the pinned wheels of requirements/run.txt, kept installed in the cache (DRD_CACHE,
# or XDG_CACHE_HOME/drd, or ~/.cache/drd): only the first build needs a registry. See ADR 0060.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

python=.venv/bin/python
cache=${DRD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/drd}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml)}
export SOURCE_DATE_EPOCH
# 0.2.0.dev1 comes before 0.2.0: dpkg says that with a tilde.
version=$("$python" -c 'import drd; print(drd.__version__)' | sed -E 's/\.?(dev|a|b|rc)/~\1/')
architecture=$(dpkg --print-architecture)
release=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
next=${release%.*}.$((${release#*.} + 1))
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
home=$root/usr/lib/drd
site=$home/lib/python$release/site-packages

pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }

compile() { # compile ROOT FOLDER: no time in the compiled files, and none looked at: a package is what it is
  "$python" -m compileall -q -j0 --invalidation-mode unchecked-hash -s "$1" -p / "$2"
}

libraries() { # the pinned wheels, installed and compiled; kept in the cache, named after what makes them
  local pins kept new to
  pins=$({ grep -v '^ *#' requirements/run.txt && declare -f compile libraries; } | sha256sum | cut -c1-16)
  kept=$cache/libraries-$architecture-$release-$pins
  if [[ ! -d $kept ]]; then
    mkdir -p "$cache"
    new=$(mktemp -d "$kept.XXXXXX")
    to=$new/${site#"$root"/}
    pip install --no-deps --no-compile --no-warn-script-location --require-hashes --only-binary :all: \
      --target "$to" -r requirements/run.txt
    rm -rf "${to:?}/bin"
    find "$to" -name '*.so*' -exec chmod 644 {} +
    compile "$new" "$to"
    chmod 755 "$new"
    mv -T "$new" "$kept" 2>/dev/null || rm -rf "$new" # somebody else was quicker
  fi
  cp -r --preserve=mode,links "$kept/usr" "$root"
}

environment() { # an environment of its own: of Debian's modules it sees Ceph's two alone
  local module suffix
  pip install --no-deps --no-compile --no-warn-script-location --no-index --target "$site" dist/drd-*.whl
  rm -rf "${site:?}/bin"
  find "$site" \( -name direct_url.json -o -name REQUESTED -o -name INSTALLER \) -delete
  compile "$root" "$site/drd"
  mkdir "$home/bin"
  ln -s "../../../bin/python$release" "$home/bin/python3"
  printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = %s\n' "$release" \
    >"$home/pyvenv.cfg"
  suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
  for module in rados rbd; do
    ln -s "../../../../python3/dist-packages/$module$suffix" "$site/$module$suffix"
  done
}

commands() { # each entry point as a script: isolated, so that nobody's environment changes it
  local name place
  mkdir -p "$root/usr/bin"
  sed -n '/^\[console_scripts\]/,/^\[[^c]/s/^\([a-z-]*\) *= *\(.*\)$/\1 \2/p' "$site"/drd-*.dist-info/entry_points.txt |
    while read -r name place; do
      printf '#!/usr/lib/drd/bin/python3 -I\nimport sys\n\nfrom %s import %s\n\nsys.exit(%s())\n' \
        "${place%:*}" "${place#*:}" "${place#*:}" >"$root/usr/bin/$name"
      chmod 755 "$root/usr/bin/$name"
    done
}

put() { # put MODE FOLDER FILE...: those that are there
  local mode=$1 folder=$root$2 file
  shift 2
  for file; do
    if [[ -f $file ]]; then install -D -m "$mode" -t "$folder" "$file"; fi
  done
}

files() {
  put 644 /usr/lib/systemd/system systemd/*.service systemd/*.timer systemd/*.socket
  put 644 /usr/lib/sysusers.d systemd/sysusers.d/drd.conf
  put 644 /usr/lib/tmpfiles.d systemd/tmpfiles.d/drd.conf
  # As the unit has it: any user's default would be a folder in his home.
  install -d "$root/etc/drd"
  sed 's/^# state_dir = /state_dir = /' config/drd.toml >"$root/etc/drd/drd.toml"
  put 644 /usr/share/doc/drd README.md docs/*.md dist/drd-*.cdx.json packaging/debian/copyright
  put 644 /usr/share/doc/drd/examples config/drd.toml
  if [[ -d monitoring ]]; then
    install -d "$root/usr/share/drd"
    cp -r --preserve=mode monitoring "$root/usr/share/drd/monitoring"
  fi
  "$python" tools/man.py "$root/usr/share/man"
  find "$root/usr/share/man" -type f -exec gzip -9n {} +
  completions
  install -D -m 644 packaging/debian/lintian-overrides "$root/usr/share/lintian/overrides/drd"
  printf 'drd (%s) unstable; urgency=medium\n\n  * See the changelog of the project.\n\n -- %s  %s\n' "$version" \
    'the maintainers of drd <drd@localhost>' "$(LC_ALL=C date -Ru -d "@$SOURCE_DATE_EPOCH")" |
    gzip -9n >"$root/usr/share/doc/drd/changelog.gz"
}

completions() {
  local shell
  local -A place=([bash]=bash-completion/completions/drctl [zsh]=zsh/vendor-completions/_drctl
    [fish]=fish/vendor_completions.d/drctl.fish)
  for shell in "${!place[@]}"; do
    install -D -m 644 /dev/null "$root/usr/share/${place[$shell]}"
    _DRCTL_COMPLETE=${shell}_source .venv/bin/drctl >"$root/usr/share/${place[$shell]}"
  done
}

size_kib() { # of files alone: what a folder takes is the file system's affair
  find "$root" -path "$root/DEBIAN" -prune -o -type f -printf '%s\n' | awk '{k += int(($1 + 1023) / 1024)} END {print k}'
}

control() {
  install -d "$root/DEBIAN"
  install -m 755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN"
  echo /etc/drd/drd.toml >"$root/DEBIAN/conffiles"
  sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@PYTHON@/$release/; s/@NEXT@/$next/" \
    -e "s/@SIZE@/$(size_kib)/" \
    packaging/debian/control.in >"$root/DEBIAN/control"
  (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
}

tools/wheel.sh >/dev/null
libraries
environment
commands
files
control
package=dist/drd_${version}_$architecture.deb
rm -f dist/drd_*.deb
dpkg-deb --root-owner-group -Zzstd -z5 --build "$root" "$package" >/dev/null
ls "$package"
