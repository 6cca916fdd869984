#!/bin/sh
# Removes a lab: the processes in its namespaces, the namespaces, its directory. Usage: reap.sh NAME DIRECTORY
#
# It waits for the end of its standard input first. The lab's owner holds the other end of that pipe, so the end comes
# when the owner closes it, and just as well when the owner is killed: the one way to clean up is used every time.
set -u
name=$1 directory=$2

cat >/dev/null

namespaces() { for path in /run/netns/"$name"-*; do [ -e "$path" ] && echo "${path##*/}"; done; }

# Processes may be starting others while they are killed: until none is left, for 5 seconds at most.
tries=0
while [ $tries -lt 250 ]; do
  pids=$(for namespace in $(namespaces); do ip netns pids "$namespace"; done)
  [ -n "$pids" ] || break
  kill -KILL $pids 2>/dev/null
  [ $tries -eq 0 ] || sleep 0.02
  tries=$((tries + 1))
done

# Another reaper may be at the same lab, when its owner died and a new lab sweeps: what is gone is good.
namespaces | sed 's/^/netns del /' | ip -force -batch - 2>/dev/null
rm -rf "$directory"
left=$(namespaces)
[ -z "$left" ] && [ -z "$pids" ] && exit 0
echo "reap.sh: left behind: $left $pids" >&2
exit 1
