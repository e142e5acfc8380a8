#!/usr/bin/env bash
# Other people's log checker reads our log over HTTP and must find it whole: Tessera's fsck (Go), unchanged.
# https://github.com/transparency-dev/tessera/tree/main/cmd/fsck
#   .ci/tessera-fsck.sh                          starts a server of its own, writes some hundred entries, checks, then flips one bit and expects a refusal
#   .ci/tessera-fsck.sh http://127.0.0.1:8103    checks a running server
set -euo pipefail
cd "$(dirname "$0")/.."
version=v1.0.4
node=node_modules/.bin/node

work=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
  rm -rf "$work"
}
trap stop EXIT

tool=${TESSERA_FSCK:-}
if [ -z "$tool" ]; then
  command -v go >/dev/null || { echo 'Go is needed to install Tessera’s fsck.'; exit 1; }
  GOBIN="$work" go install "github.com/transparency-dev/tessera/cmd/fsck@$version"
  tool="$work/fsck"
fi

# Entries of every kind of width: full tiles, a partial one, a second level; those of a Consent are erased again.
fill() {
  "$node" --input-type=module - "$1" <<'JS'
import { readFile } from 'node:fs/promises';
import { consentTerms, createSession, enrolKey, partOf, prepare, submit } from './server/commands/demo/session.ts';

const ready = JSON.parse(await readFile(process.argv[2], 'utf8'));
const bootstrap = JSON.parse(await readFile(ready.bootstrap, 'utf8'));
const session = await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
for (let i = 0; i < 300; i += 20) await Promise.all(Array.from({ length: 20 }, (_, j) => session.call('GET', `Patient/nobody-${i + j}`)));
const [custodian, grantee, patient] = ['Organization/hospital', 'Organization/insurer', 'Patient/erased'];
for (const reference of [custodian, grantee, patient]) {
  const [resourceType, id] = reference.split('/');
  await session.call('PUT', reference, { resourceType, id, active: true, ...(resourceType === 'Organization' ? { name: id } : {}) });
}
const keys = [await enrolKey(session, patient), await enrolKey(session, custodian)];
const terms = consentTerms({ patient, custodian, grantee, now: Date.now() });
await submit(session, partOf(await prepare(session, terms), 'statement'), keys);
const job = (await session.call('POST', `${patient}/$purge`)).headers.get('content-location');
let purged = await session.call('GET', job);
for (; purged.status === 202; purged = await session.call('GET', job)) await new Promise((resolve) => setTimeout(resolve, 50));
if (!purged.text.includes('"name":"erased","valueInteger":3')) throw new Error(purged.text);
const log = new URL('/ledger/checkpoint', bootstrap.fhirBaseUrl);
for (let tries = 0; tries < 1200; tries++) {
  const size = Number((await (await fetch(log)).text()).split('\n')[1]);
  if (size > 300) process.exit(0);
  await new Promise((resolve) => setTimeout(resolve, 100));
}
console.error('The log did not grow.');
process.exit(1);
JS
}

# Its exit code says nothing about what it found: its words do. The hashes it prints of a broken tile are long.
check() {
  curl -sSf "$1/ledger/key" | tr -d '\n' >"$work/key"
  "$tool" --storage_url "$1/ledger/" --public_key "$work/key" --ui=false -N 4 >"$work/out" 2>&1 || true
  cut -c 1-200 "$work/out" | head -n 20
  grep -q "Successfully fsck'd log" "$work/out" && ! grep -q 'fsck failed' "$work/out"
}

if [ $# -gt 0 ]; then
  check "${1%/}"
  echo "Tessera's fsck finds the log whole: $(curl -sSf "${1%/}/ledger/checkpoint" | sed -n 2p) entries."
  exit
fi

start() {
  : >"$work/ready"
  ASSENT_DATA_DIR="$work/data" ASSENT_PORT=0 ASSENT_LOG_LEVEL=error "$node" server/main.ts serve >"$work/ready" &
  server=$!
  for _ in $(seq 600); do
    [ -s "$work/ready" ] && break
    sleep 0.1
  done
  origin=$("$node" -p 'new URL(JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).fhir).origin' "$work/ready")
}

start
fill "$work/ready"
check "$origin"
echo "Tessera's fsck finds the log whole: $(curl -sSf "$origin/ledger/checkpoint" | sed -n 2p) entries."
kill "$server" && wait "$server"
server=

# The control: one bit of one public entry, and the same checker must refuse.
"$node" --input-type=module - "$work/data/assent.sqlite" <<'JS'
import { DatabaseSync } from 'node:sqlite';
const db = new DatabaseSync(process.argv[2]);
const row = db.prepare("SELECT rid, value FROM records WHERE kind = 'log-entries' ORDER BY id LIMIT 1").get();
row.value[100] ^= 1;
db.prepare('UPDATE records SET value = ? WHERE rid = ?').run(row.value, row.rid);
JS
start
if check "$origin"; then
  echo 'A flipped bit went unnoticed.'
  exit 1
fi
echo 'One flipped bit, and it refuses.'
