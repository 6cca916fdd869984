#!/bin/sh
# Builds native/build/tandem.node against the headers of the project's own Node. Does nothing when it is up to date.
set -eu
cd "$(dirname "$0")"
out=build/tandem.node
newest=$(ls -t ./*.c ./*.h build.sh | head -n 1)
[ -f "$out" ] && [ "$out" -nt "$newest" ] && exit 0
node=${NODE:-../node_modules/.bin/node}
headers=$(dirname "$(dirname "$("$node" -p 'require("fs").realpathSync(process.execPath)')")")/include/node
[ -f "$headers/node_api.h" ] || { echo "native: no Node headers in $headers; run: make setup" >&2; exit 1; }
mkdir -p build
${CC:-cc} -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -isystem "$headers" -o "$out.new" ./*.c
mv "$out.new" "$out"
