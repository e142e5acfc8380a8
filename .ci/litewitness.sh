#!/usr/bin/env bash
# Other people's witness cosigns our log, unchanged: litewitness (Go). https://github.com/FiloSottile/torchwood/tree/main/cmd/litewitness
# Then the control: a second server with the same key and another history gets no cosignature.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v0.9.0
node=node_modules/.bin/node

work=$(mktemp -d)
started=()
stop() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT

tool=${LITEWITNESS:-}
if [ -z "$tool" ]; then
  command -v go >/dev/null || { echo 'Go is needed to install litewitness.'; exit 1; }
  GOBIN="$work" go install "filippo.io/torchwood/cmd/litewitness@$version"
  tool="$work/litewitness"
fi

until_true() {
  for _ in $(seq 1800); do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  echo "Waited in vain: $*" >&2
  return 1
}

# Its key lives in an ssh-agent.
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
ssh-agent -D -a "$work/agent" >"$work/agent.out" &
started+=($!)
until_true test -S "$work/agent"
SSH_AUTH_SOCK="$work/agent" ssh-add -q "$work/key"
fingerprint=$(ssh-keygen -l -f "$work/key.pub" | cut -d ' ' -f 2)
port=$("$node" -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"$tool" -name witness.example/lite -key "$fingerprint" -ssh-agent "$work/agent" -db "$work/witness.db" -listen "127.0.0.1:$port" 2>"$work/witness.out" &
started+=($!)
has_key() { grep -q 'vkey=' "$work/witness.out"; }
until_true has_key
vkey=$(sed -n 's/.*vkey="\{0,1\}\([^" ]*\).*/\1/p' "$work/witness.out" | head -n 1)
printf 'witness lite %s http://127.0.0.1:%s\nquorum lite\n' "$vkey" "$port" >"$work/policy"

# start FOLDER: sets `origin`
start() {
  : >"$work/ready"
  ASSENT_WITNESS_POLICY="$work/policy" ASSENT_DATA_DIR="$1" ASSENT_PORT=0 ASSENT_LOG_LEVEL=error "$node" server/main.ts serve >"$work/ready" 2>"$work/server.out" &
  server=$!
  started+=("$server")
  until_true test -s "$work/ready"
  origin=$("$node" -p 'new URL(JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).fhir).origin' "$work/ready")
}
end() {
  kill "$server" && wait "$server"
}

# fill COUNT: so many refused reads, each an entry of the log
fill() {
  "$node" --input-type=module - "$work/ready" "$1" <<'JS'
import { readFile } from 'node:fs/promises';
import { createSession } from './server/commands/demo/session.ts';

const ready = JSON.parse(await readFile(process.argv[2], 'utf8'));
const bootstrap = JSON.parse(await readFile(ready.bootstrap, 'utf8'));
const session = await createSession(bootstrap, bootstrap.admin, 'system/*.rs admin');
for (let i = 0; i < Number(process.argv[3]); i++) await session.call('GET', `Patient/nobody-${i}`);
JS
}
witnessed() { curl -sf "$origin/ledger/witnessed" | sed -n 2p; }
is_witnessed() { [ "$(witnessed)" -ge "$1" ] 2>/dev/null; }

start "$work/data"
"$node" --input-type=module - "$work/witness.db" "$(curl -sSf "$origin/ledger/key")" <<'JS'
import { DatabaseSync } from 'node:sqlite';
const db = new DatabaseSync(process.argv[2]);
const key = process.argv[3].trim();
const [origin] = key.split('+');
db.prepare('INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)').run(origin, '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=');
db.prepare('INSERT INTO key (origin, key) VALUES (?, ?)').run(origin, key);
JS
for size in 40 80 300; do
  fill 100
  until_true is_witnessed "$size"
done
curl -sSf "$origin/ledger/witnessed" | grep -q '^— witness.example/lite '
echo "litewitness cosigned our log, last at $(witnessed) entries."
end

# The control: the same key, another history.
mkdir -p "$work/other"
cp -r "$work/data/signer" "$work/other/"
rm "$work/other/signer"/state*
start "$work/other"
fill 600
refused() { grep -q 'The witness lite' "$work/server.out"; }
until_true refused
if witnessed | grep -q .; then
  echo 'A second history was cosigned.'
  exit 1
fi
end
echo 'A second history under the same key gets no cosignature.'
