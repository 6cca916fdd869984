#!/bin/bash
# Makes a fresh checkout ready: Node 24 and the packages from npm, the native addons, the Debian packages that the tests
# use. Quiet and quick when there is nothing to do; says plainly what is missing where it may not install it.
#   scripts/setup.sh        what `make check` and `tandem` need
#   scripts/setup.sh test   what the tests, the demo and the benches need besides
set -euo pipefail
cd "$(dirname "$0")/.."

# command:package, looked for by command because that is much quicker than asking dpkg.
build_tools=(npm:npm node:nodejs python3:python3 make:make g++:g++ cc:gcc)
test_tools=(ip:iproute2 nft:nftables tcpdump:tcpdump conntrack:conntrack arping:iputils-arping keepalived:keepalived
  haproxy:haproxy nginx:nginx wrk:wrk curl:curl openssl:openssl postgres:postgresql redis-server:redis-server
  redis-benchmark:redis-tools)
# PostgreSQL's own programs are in a folder of their version, in nobody's PATH.
postgresql=$(printf '%s:' /usr/lib/postgresql/*/bin)

need() { # need COMMAND:PACKAGE ...: installs the packages whose command is not there
  local entry missing=()
  for entry in "$@"; do
    PATH=$PATH:/usr/sbin:/sbin:$postgresql command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if ! command -v apt-get >/dev/null; then
    echo "setup: missing: ${missing[*]}; there is no apt-get here: install them with this system's package manager" >&2
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "setup: missing: ${missing[*]}; as root run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  echo "setup: installing Debian packages: ${missing[*]}"
  local log
  log=$(mktemp)
  # policy-rc.d 101: a package's own service (nginx, haproxy, keepalived) must not start on this machine.
  local policy=/usr/sbin/policy-rc.d own_policy=false
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && own_policy=true; }
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}"; } >"$log" 2>&1; then
    $own_policy && rm -f $policy
    tail -n 20 "$log" >&2
    echo "setup: apt-get could not install ${missing[*]}; the reason is above" >&2
    exit 1
  fi
  $own_policy && rm -f $policy
  rm -f "$log"
}

# npm runs scripts of no package; the one addon that has to be compiled is built below, against Node 24's headers.
install_packages() {
  [ node_modules/.package-lock.json -nt package-lock.json ] && [ -x node_modules/.bin/node ] && return
  echo "setup: installing npm packages"
  # Once more if it fails: a registry that is just being updated may not know a version that it announces.
  if ! npm_install 2>/dev/null && ! npm_install; then
    echo "setup: npm could not install the packages; the reason is above" >&2
    exit 1
  fi
  touch node_modules/.package-lock.json
}

npm_install() {
  npm ci --ignore-scripts --loglevel=error >/dev/null
}

build_raw_socket() {
  [ -f node_modules/raw-socket/build/Release/raw.node ] && return
  echo "setup: building raw-socket"
  local headers log
  headers=$(dirname "$(dirname "$(node_modules/.bin/node -p 'require("fs").realpathSync(process.execPath)')")")
  log=$(mktemp)
  if ! (cd node_modules/raw-socket && PATH="$PWD/../.bin:$PATH" node-gyp rebuild --nodedir="$headers") \
    >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: raw-socket could not be built; the reason is above" >&2
    exit 1
  fi
  rm -f "$log"
}

need "${build_tools[@]}"
install_packages
build_raw_socket
native/build.sh
[ "${1:-}" != test ] || need "${test_tools[@]}"
