#!/bin/sh
set -e

if [ "${1#-}" != "$1" ]; then
  set -- redis-server "$@"
fi

# Containers are reached through their network, not through loopback alone.
if [ "$1" = redis-server ]; then
  shift
  set -- redis-server --protected-mode no --bind 0.0.0.0 "$@"
  if [ "$(id -u)" = 0 ]; then
    chown redis:redis .
    exec setpriv --reuid=redis --regid=redis --init-groups "$@"
  fi
fi

exec "$@"
