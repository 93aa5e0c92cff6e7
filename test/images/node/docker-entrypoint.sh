#!/bin/sh
set -e

# `docker run node app.js` and `docker run node --version` mean node's arguments.
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ] || { [ -f "$1" ] && ! [ -x "$1" ]; }; then
  set -- node "$@"
fi

exec "$@"
