/**
 * An insurer's backend asks a patient and their hospital for a Consent, waits for their answers, and reads what it was granted.
 * Node 22 or later and nothing to install:   node request.mjs settings.json
 *
 * settings.json: {
 *   "fhir": "https://fhir.example.org/fhir",      the server
 *   "clientId": "…", "key": "private.jwk.json",   registered with token_endpoint_auth_method private_key_jwt; an EC key on P-384 with its kid
 *   "actor": "Organization/insurer",              whom the client acts for, and for which purpose, as registered
 *   "purpose": "HPAYMT",
 *   "custodian": "Organization/hospital",         who holds the record
 *   "patient": "Patient/1",
 *   "deadlineMinutes": 4320,                      how long they have to answer, and how long a no takes to arrive
 *   "read": "Observation?patient=Patient/1",      what to read once it is granted
 *   "state": "request.state.json",                where this script goes on after it was stopped
 *   "pollSeconds": 60
 * }
 * Writes a line of JSON for each thing that happened. Exit code 0: granted and read; 3: not granted.
 */
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const jwk = JSON.parse(readFileSync(settings.key, 'utf8'));
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

/** A token by a signed assertion (SMART Backend Services); one is used until shortly before it ends. */
let token = { text: '', until: 0 };
async function bearer() {
  if (Date.now() < token.until) return token.text;
  const { token_endpoint: url } = await (await fetch(`${settings.fhir}/.well-known/smart-configuration`)).json();
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: settings.clientId, sub: settings.clientId, aud: url, jti: randomUUID(), exp: Math.floor(Date.now() / 1000) + 240 };
  const input = `${encode({ alg: 'ES384', kid: jwk.kid, typ: 'JWT' })}.${encode(claims)}`;
  const signature = sign('sha384', Buffer.from(input), { key: createPrivateKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' });
  const answer = await fetch(url, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      scope: 'system/*.rs',
      purpose_of_use: settings.purpose,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: `${input}.${signature.toString('base64url')}`,
    }),
  });
  if (!answer.ok) throw new Error(`no token: ${answer.status} ${await answer.text()}`);
  const { access_token: text, expires_in: seconds } = await answer.json();
  token = { text, until: Date.now() + (seconds - 30) * 1000 };
  return text;
}

async function call(method, url, body) {
  const headers = { authorization: `Bearer ${await bearer()}`, accept: 'application/fhir+json', 'content-type': 'application/fhir+json' };
  const answer = await fetch(url, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  if (!answer.ok) throw new Error(`${method} is answered with ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

/** Every match of a search, page by page. */
async function all(query) {
  const found = [];
  for (let url = `${settings.fhir}/${query}`; url; ) {
    const { entry = [], link = [] } = await call('GET', url);
    found.push(...entry.filter(({ search }) => search?.mode !== 'include').map(({ resource }) => resource));
    url = link.find(({ relation }) => relation === 'next')?.url;
  }
  return found;
}

/** The terms: this insurer, this purpose, for a year. Nothing is asked for anybody else. */
function terms() {
  const coded = (system, code) => ({ coding: [{ system, code }] });
  const day = (ms) => new Date(ms).toISOString().slice(0, 10);
  const actor = { role: coded('http://terminology.hl7.org/CodeSystem/v3-ParticipationType', 'IRCP'), reference: { reference: settings.actor } };
  return {
    resourceType: 'Consent',
    status: 'proposed',
    scope: coded('http://terminology.hl7.org/CodeSystem/consentscope', 'patient-privacy'),
    category: [coded('http://loinc.org', '59284-0')],
    patient: { reference: settings.patient },
    dateTime: new Date().toISOString(),
    organization: [{ reference: settings.custodian }],
    policy: [{ uri: 'urn:assent:consent-semantics:1' }],
    provision: {
      type: 'permit',
      period: { start: day(Date.now()), end: day(Date.now() + 365 * 86_400_000) },
      actor: [actor],
      purpose: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: settings.purpose }],
    },
  };
}

/** Asks once: what was asked for is kept, so that a restart asks nobody again. */
async function ask() {
  if (existsSync(settings.state)) return JSON.parse(readFileSync(settings.state, 'utf8'));
  const deadline = new Date(Date.now() + settings.deadlineMinutes * 60_000).toISOString();
  const parameter = [
    { name: 'consent', resource: terms() },
    { name: 'deadline', valueInstant: deadline },
  ];
  const task = await call('POST', `${settings.fhir}/Consent/$request`, { resourceType: 'Parameters', parameter });
  const asked = { task: task.id, deadline, since: task.meta.lastUpdated };
  writeFileSync(settings.state, JSON.stringify(asked));
  return asked;
}

/**
 * What changed of all our requests since the last look, by the server's own clock. Looks overlap by a minute: a change that was committed a moment
 * later may bear a time a moment earlier. Most looks find nothing and cost little.
 */
async function answered(asked) {
  for (let since = Date.parse(asked.since); ; await sleep(settings.pollSeconds * 1000)) {
    try {
      const changed = await all(`Task?code=urn:assent:request|consent&_lastUpdated=gt${new Date(since - 60_000).toISOString()}`);
      since = Math.max(since, ...changed.map(({ meta }) => Date.parse(meta.lastUpdated)));
      const task = changed.find(({ id, status }) => id === asked.task && status !== 'requested');
      if (task) return task;
    } catch (fault) {
      // A server that is not there for a moment is asked again.
      say({ retry: fault.message });
    }
  }
}

const asked = await ask();
say({ asked: `Task/${asked.task}`, deadline: asked.deadline });
const task = await answered(asked);
if (task.status !== 'completed') {
  say({ granted: false, reason: task.statusReason.text });
  process.exitCode = 3;
} else {
  say({ granted: true, consent: task.output[0].valueReference.reference });
  say({ read: settings.read, resources: (await all(settings.read)).length });
}
