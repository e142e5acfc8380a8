#!/bin/sh
# Gives the server its secrets and becomes it: for every ASSENT_X_FILE, ASSENT_X is what that file holds.
# The server takes settings from the environment only and refuses names it does not know, so each _FILE name is removed here.
# Invariants: no value is ever printed; what cannot be read stops the start; `exec` leaves no shell between signals and the server.
set -eu
umask 077

refuse() {
  printf '%s\n' "$1" >&2
  exit 64
}

[ "$#" -gt 0 ] || refuse 'Say what to start, e.g. start.sh node server/main.ts serve.'

newline='
'
# Names only: a line inside another variable's value may look like a setting, so each is asked for again by its name.
for setting in $(env | sed -n 's/^\(ASSENT_[A-Z][A-Z0-9_]*\)_FILE=.*/\1/p'); do
  eval "[ -n \"\${${setting}_FILE+set}\" ]" || continue
  eval "file=\$${setting}_FILE"
  [ -n "$file" ] || refuse "${setting}_FILE is empty: it must name a file, or be unset."
  eval "[ -z \"\${${setting}+set}\" ]" || refuse "${setting} and ${setting}_FILE are both set: choose one."
  [ -f "$file" ] || refuse "${setting}_FILE names $file, which is not a file."
  [ -r "$file" ] || refuse "${setting}_FILE names $file, which user $(id -u) may not read."
  value=$(cat "$file")
  # Editors on other systems end lines with a carriage return.
  value=${value%"$(printf '\r')"}
  [ -n "$value" ] || refuse "${setting}_FILE names $file, which is empty."
  case $value in *"$newline"*) refuse "${setting}_FILE names $file, which holds more than one line." ;; esac
  export "$setting=$value"
  unset "${setting}_FILE" value
done

exec "$@"
