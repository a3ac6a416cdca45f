#!/usr/bin/env bash
# Makes sure that this machine has the system packages that `cargo xtask test` needs, and with `bench` also the peers that
# `cargo xtask bench` measures.
# Root on Debian or Ubuntu: installs what is missing, in one go. Anyone else: names all of it at once and stops with 1.
# In shell and not in Rust, because a C compiler is among what may be missing and nothing in Rust links without one.
set -euo pipefail

# What shows that it is there (a command, or a file) | Debian package | what it is for
needs='
cc|gcc|links Rust programs and compiles aws-lc
/usr/include/stdlib.h|libc6-dev|the C headers that aws-lc includes
/etc/ssl/certs/ca-certificates.crt|ca-certificates|lets cargo and npm trust their registries
git|git|lists the files that the house check reads
node|nodejs|runs the end-to-end suite
npm|npm|fetches what the end-to-end suite is written with
chromium|chromium|the browser of the end-to-end suite
redis-server|redis-server|started by the tests of the stores: alone, with TLS and as a cluster
redis-sentinel|redis-sentinel|started by the tests of the stores, for fail-overs
/usr/lib/postgresql|postgresql|started by the tests of the stores
valkey-server|valkey-server|started by the tests of the stores: alone and as a cluster
setpriv|util-linux|runs PostgreSQL as another user than root
/usr/sbin/nginx|nginx|started by the end-to-end suite, with forward-auth in front of an application
caddy|caddy|started by the end-to-end suite, with forward-auth in front of an application
/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf|fonts-dejavu-core|letters in the screenshots
redis-cli|redis-tools|asks Redis and Sentinel how they are
/usr/share/doc/libfaketime|libfaketime|lets a day pass in seconds
/usr/share/fonts/truetype/noto/NotoSansDevanagari-Regular.ttf|fonts-noto-core|Hindi and Arabic letters in the screenshots
/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf|fonts-ipafont-gothic|Japanese letters in the screenshots
curl|curl|the foreign client of the listeners: TLS and HTTP/2
wrk|wrk|asks as fast as it is answered, in the smoke form of the benchmark
openssl|openssl|makes the certificate of the benchmark
valgrind|valgrind|counts instructions
'
peers='
apache2|apache2|a peer
/usr/lib/apache2/modules/mod_auth_openidc.so|libapache2-mod-auth-openidc|signs users in at that peer
'
[ "${1:-}" != bench ] || needs+=$peers

missing=()
while IFS='|' read -r sign package why; do
  [ -n "$sign" ] || continue
  case "$sign" in
    /*) [ -e "$sign" ] && continue ;;
    *) command -v "$sign" >/dev/null 2>&1 && continue ;;
  esac
  missing+=("$package")
  echo "missing: $package ($why)"
done <<<"$needs"

if [ ${#missing[@]} -eq 0 ]; then
  echo "every system package is there"
  exit 0
fi

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Install these, then run this again: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

temporary=()
trap 'rm -f "${temporary[@]}"' EXIT

# Tests start servers of their own: an installed one must not begin to run, and take the usual ports, because of that.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  temporary+=("$policy")
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update

# Debian 12 has Valkey among its backports alone, which are in the archive that everything else comes from.
offered() { apt-cache policy "$1" | grep 'Candidate: [0-9]' >/dev/null; }
if [[ " ${missing[*]} " == *' valkey-server '* ]] && ! offered valkey-server; then
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  archive=$(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)' 'Created-By: Packages' | sed -n "s/|$release\$//p" | head -n 1)
  backports=/etc/apt/sources.list.d/perennial-backports.list
  echo "deb $archive $release-backports main" >"$backports"
  temporary+=("$backports")
  apt-get update
fi
apt-get install --yes --no-install-recommends "${missing[@]}"
