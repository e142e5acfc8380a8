/**
 * Files with the verdict that each deserves, always the same: keys, salts and times are fixed and everybody in them is invented. For whoever writes a
 * verifier from docs/receipt.md. `npx node test/receipt-verifier/vectors.ts` writes vectors.json; a test compares.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { p256 } from '@noble/curves/nist.js';
import canonicalize from 'canonicalize';
import { signCheckpoint } from '../../ledger/checkpoint.ts';
import { commitmentOf, erasureDigest, type LogEntry, type PrivateEntry } from '../../ledger/entry.ts';
import { type Disclosures, writeDisclosures } from '../../ledger/disclosures.ts';
import { writeErasureProof } from '../../ledger/erasure-proof.ts';
import { digestOf, emptyRoot, leafHash, sha256 } from '../../ledger/hash.ts';
import { parseCosignerKey, parseSignatures, parseSignerKey, signatureLine } from '../../ledger/note.ts';
import { type Receipt, writeReceipt } from '../../ledger/receipt-format.ts';
import { writeRotation } from '../../ledger/rotation.ts';
import { createTree } from '../../ledger/tree.ts';
import { detached, disclosureStory, type Party } from '../support/log-fixture.ts';
import { type Parts, receiptByHand } from '../support/receipt-by-hand.ts';
import { anchorVectors } from './anchor-vectors.ts';
import { compressedOnes } from './compressed-vectors.ts';
import { packedOnes } from './packed-vectors.ts';
import { secondKeys } from './second-key.ts';

export type Vector = {
  readonly name: string;
  readonly verdict: 'proven' | 'erased' | 'refuted' | 'unreadable';
  readonly file: string;
  /** `file` is base64 of the bytes; absent: it is the text. */
  readonly encoding?: 'base64';
  /** The keys that the reader pinned, one to a line; absent: none. */
  readonly trust?: string;
};
/** `steps`: what a verifier computes on its way through the first vector. */
export type Vectors = { readonly steps: object; readonly vectors: readonly Vector[] };

type Open = Omit<Receipt, 'format'>;

const PATIENT = 'Patient/q3v5k2m8x1';
const HOSPITAL = 'Organization/hospital';
const AT = Date.UTC(2024, 5, 1);
const SEEN = AT / 1000 + 1;

const seedOf = (name: string): Buffer => sha256(`Assent test vectors: ${name}`);

function ed25519(name: string): KeyObject {
  return createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seedOf(name)]),
    format: 'der',
    type: 'pkcs8',
  });
}

/** `type`: the first byte of the key. */
function noteKey(name: string, type: number, secret = name): string {
  const raw = createPublicKey(ed25519(secret)).export({ format: 'der', type: 'spki' }).subarray(-32);
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([type]), raw])).toString('hex', 0, 4);
  return `PRIVATE+KEY+${name}+${id}+${Buffer.concat([Buffer.from([type]), seedOf(secret)]).toString('base64')}`;
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('A fixed key is none.');
  return value;
}

function recorded(owner: string, role: Party['role'], jwk: object, more: object = {}): Pick<Party, 'owner' | 'role' | 'kid' | 'record' | 'jwk'> {
  const kid = digestOf(JSON.stringify(jwk));
  const enrolledBy = { client: 'admin', actor: HOSPITAL };
  const rest = { proofing: 'in-person', ...more, enrolledBy, occurredAt: '2024-05-01T00:00:00.000Z' };
  return { owner, role, kid, jwk, record: JSON.stringify({ event: 'registered', kid, owner, role, jwk, ...rest }) };
}

function withEd25519(owner: string, role: Party['role']): Party {
  const key = ed25519(owner);
  const party = recorded(owner, role, createPublicKey(key).export({ format: 'jwk' }));
  return { ...party, sign: (text) => detached(text, { alg: 'EdDSA', kid: party.kid }, key) };
}

/** Signs with the nonce of RFC 6979, so that a signature comes out the same each time. */
function withP256(owner: string, role: Party['role']): Party {
  const secret = seedOf(owner);
  const point = Buffer.from(p256.getPublicKey(secret, false));
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) => part.toString('base64url'));
  const party = recorded(owner, role, { kty: 'EC', crv: 'P-256', x, y });
  const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: party.kid })).toString('base64url');
  const sign = (text: string): string => {
    const input = Buffer.from(`${header}.${Buffer.from(text).toString('base64url')}`);
    return `${header}..${Buffer.from(p256.sign(input, secret)).toString('base64url')}`;
  };
  return { ...party, sign };
}

const SERVER = 'https://fhir.example.org';
const RP_ID = 'fhir.example.org';

/** What may be other than it should in an assertion. */
type Forged = {
  readonly origin?: string;
  readonly rpId?: string;
  readonly flags?: number;
  readonly type?: string;
  readonly crossOrigin?: unknown;
};
type Passkey = Party & { readonly assertion: (text: string, forged?: Forged) => string };

/** A passkey as an authenticator holds it; its signatures come out the same each time, as above. */
function withPasskey(owner: string, curve: 'P-256' | 'Ed25519' = 'P-256'): Passkey {
  const name = `passkey of ${owner}`;
  const secret = seedOf(name);
  const point = Buffer.from(p256.getPublicKey(secret, false));
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) => part.toString('base64url'));
  const jwk = curve === 'P-256' ? { kty: 'EC', crv: 'P-256', x, y } : createPublicKey(ed25519(name)).export({ format: 'jwk' });
  const id = seedOf(`credential of ${owner}`).subarray(0, 16).toString('base64url');
  const party = recorded(owner, 'patient', jwk, { passkey: { credentialId: id, rpId: RP_ID } });
  const assertion = (text: string, { origin = SERVER, rpId = RP_ID, flags = 5, type = 'webauthn.get', crossOrigin = false }: Forged = {}): string => {
    const authenticatorData = Buffer.concat([sha256(rpId), Buffer.from([flags, 0, 0, 0, 7])]);
    const clientData = Buffer.from(JSON.stringify({ type, challenge: digestOf(text), origin, crossOrigin }));
    const message = Buffer.concat([authenticatorData, sha256(clientData)]);
    const signature = curve === 'P-256' ? p256.sign(message, secret, { format: 'der' }) : sign(null, message, ed25519(name));
    const [data, client, signed] = [authenticatorData, clientData, signature].map((each) => Buffer.from(each).toString('base64url'));
    return JSON.stringify({ id, authenticatorData: data, clientDataJSON: client, signature: signed });
  };
  return { ...party, assertion, sign: (text) => assertion(text) };
}

const signer = must(parseSignerKey(noteKey('assent.example/log', 1)));
const stranger = must(parseSignerKey(noteKey('assent.example/other', 1)));
const cosigner = must(parseCosignerKey(noteKey('witness.example', 4)));
const [mine, custodian] = [withEd25519(PATIENT, 'patient'), withP256(HOSPITAL, 'custodian')];
const both = [mine, custodian];
const story = disclosureStory(both, AT);

const made = (parts: Partial<Parts> = {}): Promise<Open> => receiptByHand({ signer, story, parties: both, ...parts });

export async function makeVectors(): Promise<Vectors> {
  const plain = await made();
  const vectors = [
    ...(await provenOnes(plain)),
    ...(await refutedBySignatures(plain)),
    ...(await passkeys()),
    ...(await standing()),
    ...(await rotations()),
    ...(await secondKeys({ log: signer.verifierKey.text, seen: SEEN, seedOf, made: (cosigners) => made({ cosigners }) })),
    ...refutedByPieces(plain),
    ...refutedByLog(plain),
    ...(await anchorVectors({
      plain,
      later: await made({ map: { root: 4 } }),
      signer,
      aggregate: must(parseSignerKey(noteKey('aggregate.example', 1))),
      stranger,
    })),
    ...unreadableOnes(writeReceipt(plain)),
    ...compressedOnes(writeReceipt(plain)),
    ...packedOnes(writeReceipt(plain)),
    ...erasures(),
    ...statements(plain),
  ];
  return { steps: stepsOf(plain), vectors };
}

function stepsOf({ event, consents, keys, checkpoint }: Open): object {
  const references = [story.evidence.consents[0]?.reference ?? '', ...both.map(({ kid }) => `Key/${kid}`)];
  const entries = [event?.entry, ...[...consents, ...keys].map(({ entry }) => entry)].map((entry, i) => {
    return { ...must(entry), reference: i === 0 ? (story.entries.at(-1)?.reference ?? '') : (references[i - 1] ?? '') };
  });
  return {
    statement: story.statement,
    statementDigest: digestOf(story.statement),
    entries: entries.map((entry) => ({
      canonical: canonicalize(entry),
      commitment: commitmentOf(entry).toString('hex'),
      leaf: leafHash(commitmentOf(entry)).toString('hex'),
    })),
    root: Buffer.from(checkpoint.split('\n')[2] ?? '', 'base64').toString('hex'),
  };
}

const proven = (name: string, receipt: Open): Vector => ({ name, verdict: 'proven', file: writeReceipt(receipt) });
const refuted = (name: string, receipt: Open): Vector => ({ name, verdict: 'refuted', file: writeReceipt(receipt) });

const next = must(parseSignerKey(noteKey('assent.example/log', 1, 'the second key of the log')));
const third = must(parseSignerKey(noteKey('assent.example/log', 1, 'the third key of the log')));

/** In a log that begins with this replacement. */
async function withRotation(rotation: string, more: Partial<LogEntry> = {}): Promise<Open> {
  const reference = `LogKey/${next.verifierKey.id}`;
  const at = '2024-06-01T00:00:00.000Z';
  const entry: LogEntry = { kind: 'log-key-rotated', occurredAt: at, subject: null, reference, digest: digestOf(rotation), ...more };
  const receipt = await made({ signer: next, story: { ...story, entries: [entry, ...story.entries] } });
  const { reference: _reference, ...rest } = entry;
  const place = { subject: 'handle', index: 0, subjectSeq: 1, previous: null, salt: Buffer.alloc(32).toString('base64url') };
  return { ...receipt, rotations: [{ rotation, entry: { ...rest, ...place } }] };
}

async function rotations(): Promise<Vector[]> {
  const start = { size: 0, root: emptyRoot };
  const rotation = writeRotation({ from: signer, to: next, ...start });
  const [text = ''] = rotation.split('\n\n');
  const [old = '', successor = ''] = rotation.split('\n').slice(-3);
  const [signature] = parseSignatures(`${successor}\n`) ?? [];
  const forged = signatureLine({ ...must(signature), id: signer.verifierKey.id });
  const good = await withRotation(rotation);
  const bad = async (name: string, other: string, more: Partial<LogEntry> = {}) =>
    refuted(`the log’s key was replaced, and ${name}`, await withRotation(other, more));
  return [
    proven('the log’s key was replaced', good),
    refuted('the log’s key was replaced, and the replacement is left out', { ...good, rotations: [] }),
    refuted('the log’s key was replaced, and the log is named by the old one', { ...good, log: signer.verifierKey.text }),
    await bad('the old key did not sign that', `${text}\n\n${forged}${successor}\n`),
    await bad('the new key did not sign that', `${text}\n\n${old}\n`),
    await bad('the signatures change places', `${text}\n\n${successor}\n${old}\n`),
    await bad('its text was changed', rotation.replace('\n0\n', '\n1\n')),
    await bad('it leads to a third key', writeRotation({ from: signer, to: third, ...start })),
    await bad('it is by a log of another name', writeRotation({ from: stranger, to: next, ...start })),
    await bad('the old key signed more than was logged before', writeRotation({ from: signer, to: next, ...start, size: 1 })),
    await bad('its entry is of another kind', rotation, { kind: 'key-registered' }),
    await bad('its entry names another key', rotation, { reference: `LogKey/${third.verifierKey.id}` }),
    await bad('its entry is of another text', rotation, { digest: digestOf(`${rotation} `) }),
  ];
}

async function provenOnes(plain: Open): Promise<Vector[]> {
  const alone = await made({ story: disclosureStory([mine], AT), parties: [mine] });
  return [
    proven('a disclosure under a Consent signed by the patient (EdDSA) and the custodian (ES256)', plain),
    proven('the same, signed by the patient alone', alone),
    proven('the same, cosigned by a witness', await made({ cosigners: [{ cosigner, time: SEEN }] })),
    { ...proven('a newline at the end', plain), file: `${writeReceipt(plain)}\n` },
  ];
}

async function refutedBySignatures(plain: Open): Promise<Vector[]> {
  const signed = (signatures: readonly string[]): Promise<Open> => made({ signatures });
  const [first, second] = both.map(({ sign }) => sign(story.statement)) as [string, string];
  const mother = withEd25519('Patient/mother', 'patient');
  const insurer = withP256('Organization/insurer', 'custodian');
  const named = (digests: readonly string[]) => ({
    ...story,
    entries: story.entries.map((entry) => (entry.kind === 'consent-active' ? { ...entry, signatures: digests } : entry)),
  });
  return [
    proven('the log entry names both signatures', await made({ story: named([first, second].map(digestOf)) })),
    refuted('the log entry names a third signature', await made({ story: named([first, second, 'a third'].map(digestOf)) })),
    refuted('no signature of the patient', await signed([second])),
    refuted('a signature over other terms', await signed([mine.sign(`${story.statement} `), second])),
    refuted(
      'the signature of another key under this key’s name',
      await signed([first.replace(/[^.]+$/, mother.sign(story.statement).split('.')[2] ?? ''), second]),
    ),
    refuted('a signature that is not detached', await signed([first.replace('..', '.e30.'), second])),
    refuted('another patient signed', await made({ story: disclosureStory([mother, custodian], AT), parties: [mother, custodian] })),
    refuted(
      'an organization that is not the custodian signed',
      await made({ story: disclosureStory([mine, insurer], AT), parties: [mine, insurer] }),
    ),
    refuted('a key registered after the Consent', await made({ order: [2, 0, 1, 3] })),
    refuted('a Consent logged after the disclosure', await made({ order: [0, 1, 3, 2] })),
    refuted('a Consent that was withdrawn', await made({ kinds: { Consent: 'consent-withdrawn' } })),
    refuted('a key that was revoked', await made({ kinds: { Key: 'key-revoked' } })),
    refuted('a key’s registration is missing', { ...plain, keys: plain.keys.slice(1) }),
  ];
}

async function passkeys(): Promise<Vector[]> {
  const [mine256, mine25519] = [withPasskey(PATIENT), withPasskey(PATIENT, 'Ed25519')];
  const signedWith = (passkey: Passkey, signature = passkey.sign(disclosureStory([passkey, custodian], AT).statement)): Promise<Open> => {
    const told = disclosureStory([passkey, custodian], AT);
    return made({ story: told, parties: [passkey, custodian], signatures: [signature, custodian.sign(told.statement)] });
  };
  const { statement } = disclosureStory([mine256, custodian], AT);
  const forged = (name: string, how: Forged, text = statement): Promise<Vector> =>
    signedWith(mine256, mine256.assertion(text, how)).then((receipt) => refuted(`a passkey’s signature ${name}`, receipt));
  const spelled = (name: string, change: (text: string) => string): Promise<Vector> =>
    signedWith(mine256, change(mine256.assertion(statement))).then((receipt) => refuted(`a passkey’s signature ${name}`, receipt));
  const header = Buffer.from(JSON.stringify({ alg: 'EdDSA', kid: mine25519.kid })).toString('base64url');
  const input = Buffer.from(`${header}.${Buffer.from(statement).toString('base64url')}`);
  const asJws = `${header}..${sign(null, input, ed25519(`passkey of ${PATIENT}`)).toString('base64url')}`;
  return [
    proven('a Consent signed with a passkey (ES256) and by the custodian', await signedWith(mine256)),
    proven('a Consent signed with a passkey (EdDSA) and by the custodian', await signedWith(mine25519)),
    await forged('over other terms', {}, `${statement} `),
    await forged('on a page of another server', { origin: 'https://evil.example' }),
    await forged('on another port', { origin: `${SERVER}:8443` }),
    await forged('for another host', { rpId: 'evil.example' }),
    await forged('without the person verified', { flags: 1 }),
    await forged('without the person there', { flags: 4 }),
    await forged('that was made to register', { type: 'webauthn.create' }),
    await forged('in a frame of another page', { crossOrigin: true }),
    await forged('whose frame is told by a number', { crossOrigin: 0 }),
    await spelled('with a space', (text) => text.replace(',', ', ')),
    await spelled('with one more member', (text) => text.replace('}', ',"type":"public-key"}')),
    await spelled('of a credential that nobody registered', (text) => text.replace(/"id":"[^"]+"/, '"id":"AAAAAAAAAAAAAAAAAAAAAA"')),
    await spelled('whose signature has a byte more', (text) =>
      text.replace(/"signature":"([^"]+)"/, (_all, signature: string) => {
        return `"signature":"${Buffer.concat([Buffer.from(signature, 'base64url'), Buffer.from([0])]).toString('base64url')}"`;
      }),
    ),
    refuted('a JWS by a key that is a passkey', await signedWith(mine25519, asJws)),
  ];
}

/** The log is two keys, the Consent, the disclosure, and then what is said here. */
async function standing(): Promise<Vector[]> {
  const [untouched, replacedLater] = [await made({ map: { root: 4 } }), await made({ map: { root: 5, replacement: 4 } })];
  const alone = ({ event: _event, ...rest }: Open): Open => ({ ...rest, event: null });
  const { current } = untouched;
  const { current: replaced } = replacedLater;
  const [shown] = must(current).proofs;
  const [taken] = must(replaced).proofs;
  if (!current || !replaced || !shown || !taken) throw new Error('The receipt has no proof of the map.');
  const changed = (of: Open, by: Partial<typeof current>): Open => ({ ...of, current: { ...must(of.current), ...by } });
  const bytes = Buffer.from(shown.proof, 'base64');
  const flipped = Buffer.from(bytes);
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
  const longer = Buffer.concat([bytes, Buffer.alloc(1)]);
  const another = must(replacedLater.current);
  return [
    proven('a Consent whose place nothing had taken when it was used', untouched),
    proven('a Consent that was replaced after it was used', replacedLater),
    proven('a root of the map from before the disclosure', await made({ map: { root: 3 } })),
    refuted('a Consent that was replaced before what rests on it', await made({ map: { root: 5, replacement: 3 } })),
    refuted('a root of the map from before the Consent', await made({ map: { root: 2 } })),
    refuted('a root of the map of more entries', changed(untouched, { upTo: 5 })),
    refuted('a root of the map of fewer entries', changed(untouched, { upTo: 3 })),
    refuted('the root of another map', changed(untouched, { root: another.root })),
    refuted('a root of the map that the log does not hold', changed(untouched, { upTo: another.upTo, root: another.root, entry: another.entry })),
    refuted('a root of the map under another kind', changed(untouched, { entry: { ...current.entry, kind: 'disclosure' } })),
    refuted('a proof of the map for nothing', changed(untouched, { proofs: [] })),
    refuted('a proof of the map too many', changed(untouched, { proofs: [shown, shown] })),
    refuted('a proof of the map with a bit flipped', changed(untouched, { proofs: [{ proof: flipped.toString('base64') }] })),
    refuted('a proof of the map with a byte more', changed(untouched, { proofs: [{ proof: longer.toString('base64') }] })),
    refuted('a proof of the map that is empty', changed(untouched, { proofs: [{ proof: '' }] })),
    refuted('a replaced Consent said not to be', changed(replacedLater, { proofs: [{ proof: taken.proof }] })),
    refuted('a replaced Consent said to be replaced elsewhere', changed(replacedLater, { proofs: [{ proof: taken.proof, next: 3 }] })),
    refuted('a Consent said to be replaced that is not', changed(untouched, { proofs: [{ proof: shown.proof, next: 3 }] })),
    refuted('a map and no Consent', { ...alone(untouched), consents: [], keys: [] }),
    refuted('a root of the map with another time', changed(untouched, { entry: { ...current.entry, occurredAt: '2024-06-02T00:01:00.000Z' } })),
    {
      ...proven('a member of the map that is unknown', untouched),
      verdict: 'unreadable',
      file: writeReceipt(untouched).replace('"upTo":', '"of":"","upTo":'),
    },
  ];
}

function refutedByPieces(plain: Open): Vector[] {
  const { event, keys } = plain;
  const [consent] = plain.consents;
  const [one, two] = keys;
  if (!event || !consent || !one || !two) throw new Error('The receipt lacks a piece.');
  const spoilt = (text: string): Open => ({ ...plain, event: { entry: { ...event.entry, digest: digestOf(text) }, event: text } });
  return [
    refuted('an AuditEvent that was edited', { ...plain, event: { ...event, event: event.event.replace('TREAT', 'ETREAT') } }),
    refuted('the same, with its digest made to fit', spoilt(event.event.replace('TREAT', 'ETREAT'))),
    refuted('an AuditEvent whose id is half a surrogate pair', spoilt(event.event.replace('"id":"7h6g', '"id":"\\ud800'))),
    refuted('an AuditEvent that is a list', spoilt('[]')),
    refuted('a Consent that was edited', { ...plain, consents: [{ ...consent, consent: consent.consent.replace('permit', 'deny') }] }),
    refuted('terms that were edited', { ...plain, consents: [{ ...consent, terms: { ...consent.terms, purposes: ['HMARKT'] } }] }),
    refuted('no Consent', { ...plain, consents: [], keys: [] }),
    refuted('the same Consent twice', { ...plain, consents: [consent, consent] }),
    refuted('a key twice', { ...plain, keys: [one, two, two] }),
    refuted('a salt of 31 bytes', { ...plain, event: { ...event, entry: { ...event.entry, salt: Buffer.alloc(31).toString('base64url') } } }),
    refuted('a salt with spare bits', { ...plain, event: { ...event, entry: { ...event.entry, salt: event.entry.salt.replace(/.$/, 'N') } } }),
  ];
}

function refutedByLog(plain: Open): Vector[] {
  const { checkpoint, proof } = plain;
  const text = checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1);
  const [, size, root = ''] = text.split('\n');
  const signed = (origin: string, entries: number): string => signCheckpoint({ origin, size: entries, root: Buffer.from(root, 'base64') }, [signer]);
  const other = stranger.verifierKey.text;
  const hash = digestOf('a hash').replaceAll('-', '+').replaceAll('_', '/');
  return [
    refuted('a checkpoint whose size was edited', { ...plain, checkpoint: checkpoint.replace(`\n${size}\n`, '\n5\n') }),
    refuted('a signed checkpoint of another size', { ...plain, checkpoint: signed('assent.example/log', 5) }),
    refuted('a signed checkpoint of another origin', { ...plain, checkpoint: signed('assent.example/other', Number(size)) }),
    refuted('a signed checkpoint of a size with a leading zero', {
      ...plain,
      checkpoint: `${text.replace(`\n${size}\n`, `\n0${size}\n`)}\n${signer.line(text.replace(`\n${size}\n`, `\n0${size}\n`))}`,
    }),
    refuted('the key of another log', { ...plain, log: other }),
    refuted('a log key whose id is not its own', { ...plain, log: plain.log.replace(/\+.{8}\+/, '+00000000+') }),
    refuted('a signature by an unknown key', { ...plain, checkpoint: checkpoint + stranger.line(text) }),
    refuted('the log’s signature twice', { ...plain, checkpoint: checkpoint + signer.line(text) }),
    refuted('a witness that did not cosign', { ...plain, witnesses: [cosigner.verifierKey.text] }),
    refuted('a cosignature whose witness is not named', { ...plain, checkpoint: checkpoint + cosigner.line(text, SEEN) }),
    refuted('a hash too many in the proof', { ...plain, proof: [...proof, `${hash}=`] }),
  ];
}

function unreadableOnes(text: string): Vector[] {
  const unreadable = (name: string, file: string): Vector => ({ name, verdict: 'unreadable', file });
  return [
    unreadable('empty', ''),
    unreadable('not JSON', text.slice(0, -1)),
    unreadable('a space', text.replace(',', ', ')),
    unreadable('two newlines at the end', `${text}\n\n`),
    unreadable('another format', text.replace('assent-receipt-1', 'assent-receipt-0')),
    unreadable('an unknown member', text.replace('"event":', '"note":"","event":')),
    unreadable('a member twice', text.replace('"event":', '"event":null,"event":')),
    unreadable('a number in another spelling', text.replace('"index":3', '"index":3.0')),
    unreadable('a character escaped that need not be', text.replace('"kind":"d', '"kind":"\\u0064')),
    unreadable('half a surrogate pair', text.replace('"occurredAt":"2', '"occurredAt":"\\ud800')),
    unreadable('an unknown kind', text.replace('"kind":"disclosure"', '"kind":"leak"')),
  ];
}

function erasures(): Vector[] {
  const erases = [1, 2];
  const entry: PrivateEntry = {
    kind: 'erasure',
    occurredAt: new Date(AT).toISOString(),
    subject: 'handle',
    reference: 'Consent/0c9x2m4k7q1v5b8n3j6h0f2d9',
    digest: erasureDigest(erases),
    erases,
    index: 3,
    subjectSeq: 4,
    previous: 2,
    salt: Buffer.alloc(32, 3).toString('base64url'),
  };
  const before = [0, 1, 2].map((number) => leafHash(sha256(`entry ${number}`)));
  const tree = createTree({ size: 0, edge: [] });
  for (const leaf of [...before, leafHash(commitmentOf(entry))]) tree.append(leaf);
  const left = createTree({ size: 0, edge: [] });
  for (const leaf of before.slice(0, 2)) left.append(leaf);
  const { reference, ...rest } = entry;
  const proof = [left.root(), must(before[2])].map((hash) => Buffer.from(hash).toString('base64'));
  const checkpoint = signCheckpoint({ origin: signer.verifierKey.name, size: 4, root: tree.root() }, [signer]);
  const file = { log: signer.verifierKey.text, checkpoint, reference, entry: rest, proof };
  const vector = (name: string, verdict: Vector['verdict'], changed: Partial<typeof file>): Vector => ({
    name,
    verdict,
    file: writeErasureProof({ ...file, ...changed }),
  });
  return [
    vector('a proof of erasure', 'erased', {}),
    vector('a proof of erasure that names another entry', 'refuted', { entry: { ...rest, erases: [0, 2] } }),
    vector('a proof of erasure that names another Consent', 'refuted', { reference: 'Consent/other' }),
    vector('a proof of erasure that names nothing', 'unreadable', { entry: { ...rest, erases: [] } }),
  ];
}

function statements({ event, consents, keys, log, checkpoint }: Open): Vector[] {
  const [consent] = consents;
  const [first, second] = keys;
  if (!event || !consent || !first || !second) throw new Error('The receipt lacks a piece.');
  const linkOf = (reference: string, entry: typeof event.entry, text: string | null = null) => ({ reference, event: text, entry });
  const newest = linkOf(story.entries.at(-1)?.reference ?? '', event.entry, event.event);
  const older = [
    linkOf(story.evidence.consents[0]?.reference ?? '', consent.entry),
    linkOf(`Key/${custodian.kid}`, second.entry),
    linkOf(`Key/${mine.kid}`, first.entry),
  ] as const;
  const file: Omit<Disclosures, 'format'> = { log, checkpoint, patient: PATIENT, newest: true, links: [newest, ...older], proof: [] };
  const { index, subjectSeq, previous } = first.entry;
  const leaf = leafHash(commitmentOf({ ...first.entry, reference: `Key/${mine.kid}` })).toString('base64');
  const vector = (name: string, verdict: Vector['verdict'], changed: Partial<typeof file> = {}): Vector => {
    return { name: `a statement of disclosures${name}`, verdict, file: writeDisclosures({ ...file, ...changed }) };
  };
  const whole = vector('', 'proven');
  const parameter = [{ name: 'count', valueInteger: 4 }, null, { name: 'statement', valueString: whole.file }];
  const edited = { ...newest, event: event.event.replace('TREAT', 'ETREAT') };
  const gap = [newest, ...older.slice(1)];
  return [
    whole,
    { ...whole, name: 'the answer it came in', file: JSON.stringify({ resourceType: 'Parameters', parameter }) },
    vector(' whose AuditEvent is not shown', 'proven', { links: [{ ...newest, event: null }, ...older] }),
    vector(' whose first entry was erased', 'proven', {
      links: [newest, ...older.slice(0, 2), { erased: { index, subjectSeq, previous } }],
      proof: [leaf],
    }),
    vector(' without any entry', 'proven', { links: [] }),
    vector(' that leaves an entry out', 'refuted', {
      links: gap,
      proof: [leafHash(commitmentOf({ ...consent.entry, reference: older[0].reference })).toString('base64')],
    }),
    vector(' in another order', 'refuted', { links: [...older, newest] }),
    vector(' of another patient', 'refuted', { patient: 'Patient/other' }),
    vector(' whose AuditEvent was edited', 'refuted', { links: [edited, ...older] }),
    vector(' that calls a Consent an AuditEvent', 'refuted', { links: [newest, { ...older[0], reference: 'AuditEvent/1' }, ...older.slice(1)] }),
    vector(' that proves what it does not hold', 'refuted', { links: [], proof: [leaf] }),
    vector(' about nobody', 'refuted', { links: [newest, ...older.slice(0, 2), { ...older[2], entry: { ...first.entry, subject: null } }] }),
    {
      ...whole,
      name: 'a statement of disclosures without its patient',
      verdict: 'unreadable',
      file: whole.file.replace(`"patient":"${PATIENT}",`, ''),
    },
  ];
}

/** Of a vector, as a reader has it. */
export const bytesOf = ({ file, encoding }: Vector): Buffer => Buffer.from(file, encoding ?? 'utf8');
export const vectorsFile = new URL('vectors.json', import.meta.url);
export const writtenVectors = async (): Promise<string> => `${JSON.stringify(await makeVectors(), null, 2)}\n`;

if (import.meta.main) writeFileSync(vectorsFile, await writtenVectors());
