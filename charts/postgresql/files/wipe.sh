#!/bin/sh
# Empties the app's database. Its other connections end: one that holds a lock would hold this up. An app that made the
# schema `public` anew owns it, and every dump takes it for granted.
set -eu
for file in "$CREDENTIALS"/PG*; do export "${file##*/}=$(cat "$file")"; done
export PGHOST="${HOST:-$PGHOST}"
exec psql --no-psqlrc --quiet --output /dev/null --set ON_ERROR_STOP=1 \
    --command 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE usename = CURRENT_USER AND datname = current_database() AND pid <> pg_backend_pid()' \
    --command 'DROP OWNED BY CURRENT_USER CASCADE' \
    --command 'SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS public'
