#!/bin/sh
# Runs a command where network namespaces can be made: as it is for root, else as root of a user namespace of its own.
# Usage: test/lab/enter.sh COMMAND [ARGUMENT ...]        for example: test/lab/enter.sh npx vitest run --project lab
if [ $# -eq 0 ]; then
  echo "usage: enter.sh COMMAND [ARGUMENT ...]" >&2
  exit 2
fi

if [ "$(id -u)" = 0 ] && unshare --net --mount true 2>/dev/null; then
  exec "$@"
fi

if ! unshare --user --map-root-user --net --mount true 2>/dev/null; then
  echo "enter.sh: network namespaces need root, and this machine permits users none of their own; run as root, or" \
    "as root set: sysctl -w user.max_user_namespaces=10000; on Ubuntu 24.04 and later also" \
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container: docker run --privileged" >&2
  exit 1
fi

# Names of namespaces are mounts under /run/netns, which belongs to the real root: a private one lies over it.
exec unshare --user --map-root-user --net --mount sh -c '
  if [ -d /run/netns ]; then
    mount -t tmpfs lab /run/netns
  else
    mount -t tmpfs lab /run && mkdir /run/netns
  fi && ip link set lo up && exec "$@"' enter.sh "$@"
