#!/bin/sh
# Makes what docker/compose.yaml reads from docker/secrets/: two passwords and, for a first look, a certificate of its own for localhost.
# Never overwrites: put your own files there, before or after. The folder is closed to other users; the files in it are readable,
# because they are mounted one by one into containers that run under other user numbers.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 0700 secrets

random() {
  od -An -N 32 -tx1 /dev/urandom | tr -d ' \n'
}

keep() {
  chmod 0444 "secrets/$1.new"
  mv "secrets/$1.new" "secrets/$1"
  printf 'made docker/secrets/%s\n' "$1"
}

if [ ! -e secrets/mongodb-root-password ]; then
  random >secrets/mongodb-root-password.new
  keep mongodb-root-password
fi

if [ ! -e secrets/mongodb-uri ]; then
  printf 'mongodb://assent:%s@mongo-1:27017,mongo-2:27017,mongo-3:27017/assent?replicaSet=assent\n' "$(random)" >secrets/mongodb-uri.new
  keep mongodb-uri
fi

if [ ! -e secrets/tls-certificate ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=localhost \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout secrets/tls-key.new -out secrets/tls-certificate.new 2>/dev/null
  keep tls-key
  keep tls-certificate
fi
