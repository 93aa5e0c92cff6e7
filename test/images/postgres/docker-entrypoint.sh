#!/bin/sh
set -e

if [ "${1#-}" != "$1" ]; then
  set -- postgres "$@"
fi
[ "$1" = postgres ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown -R postgres:postgres "$PGDATA"
  chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
    echo '       You must specify POSTGRES_PASSWORD, for example with "-e POSTGRES_PASSWORD=password".' >&2
    exit 1
  fi
  : "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}"

  password=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" > "$password"
  [ -n "$POSTGRES_PASSWORD" ] && method=scram-sha-256 || method=trust
  initdb --username="$POSTGRES_USER" --auth-local=trust --auth-host="$method" \
    ${POSTGRES_PASSWORD:+--pwfile="$password"} --no-sync "$PGDATA"
  rm -f "$password"

  printf "listen_addresses = '*'\n" >> "$PGDATA/postgresql.conf"
  printf 'host all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-$method}" >> "$PGDATA/pg_hba.conf"
  if [ "$POSTGRES_DB" != postgres ]; then
    printf 'CREATE DATABASE "%s"\n' "$POSTGRES_DB" | postgres --single -jE postgres > /dev/null
  fi
fi

exec "$@"
