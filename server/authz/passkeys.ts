/**
 * Passkeys: a patient's key that lives in an authenticator, its registration by a one-time code, and signing in with it.
 * https://www.w3.org/TR/webauthn-3/ §7.1, §7.2
 *
 * Invariants: the person was verified, on a page of this server's public origin; what is refused is refused with one sentence; a key signs somebody in
 * only while it is in the log and not revoked, and its authenticator's count only grows.
 */
import { createHmac } from 'node:crypto';
import { isIP } from 'node:net';
import type { Uint8Array_ } from '@simplewebauthn/server';
import { assertionHolds, assertionText, challengeOf, counterOf, hostOf, parseAssertion } from '../../ledger/webauthn.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import type { Challenges } from './challenges.ts';
import type { Enrolments } from './enrolments.ts';
import type { Passkey, PublicJwk, RegisteredKey } from './key-event.ts';
import { type KeyLog, CREDENTIAL } from './key-log.ts';
import type { LoggedKey, LoggedKeys } from './logged-keys.ts';

export type Passkeys = {
  /** PublicKeyCredentialCreationOptionsJSON for whoever has the code. Throws AssentError('forbidden') where it is none. */
  creation(code: string): Promise<object>;
  /** `answer`: RegistrationResponseJSON. Throws AssentError: forbidden, conflict. */
  enrol(code: string, answer: unknown): Promise<RegisteredKey>;
  /** The same for codes of either kind: one that is to replace lost ones is not registered but has to sign for that, and the code stays good. */
  register(code: string, answer: unknown): Promise<Enrolled>;
  /** For a patient who is signed in: another one. `known`: credential ids that they have. */
  anotherFor(owner: string, known: readonly string[]): object;
  /** What was made so, for a statement about keys. Throws AssentError('forbidden'). */
  made(owner: string, answer: unknown): Promise<NewPasskey>;
  /** PublicKeyCredentialRequestOptionsJSON: for any passkey of this server, whosever it is. */
  request(): object;
  /** Whose it is. `answer`: AuthenticationResponseJSON. Throws AssentError('forbidden'). */
  signIn(answer: unknown, as?: 'patient' | 'practitioner'): Promise<LoggedKey>;
};

export type Enrolled =
  | { readonly kind: 'registered'; readonly key: RegisteredKey }
  | ({ readonly kind: 'recovers'; readonly owner: string; readonly reason: string } & NewPasskey);

export type NewPasskey = { readonly jwk: PublicJwk; readonly passkey: Passkey };

export type PasskeyDeps = {
  readonly records: RecordStore;
  readonly keyLog: Pick<KeyLog, 'enrol'>;
  readonly keys: Pick<LoggedKeys, 'ofCredential'>;
  readonly enrolments: Pick<Enrolments, 'find'>;
  readonly challenges: Challenges;
  /** Names patients to authenticators, without telling them who it is. */
  readonly secret: Uint8Array;
  /** Of our pages, as browsers see it. */
  readonly origin: string;
};

const SIGN_IN = 'sign-in';
const TIMEOUT_MS = 5 * 60_000;
const ES256 = -7;
const EDDSA = -8;

export function createPasskeys({ records, keyLog, keys, enrolments, challenges, secret, origin }: PasskeyDeps): Passkeys {
  const rpId = hostOf(origin) ?? '';
  const handleOf = (owner: string) => new Uint8Array(createHmac('sha256', secret).update(`passkey of ${owner}`).digest());
  const enrolment = async (code: string) => {
    requireHostName(rpId);
    const found = await enrolments.find(code);
    if (!found) throw new AssentError('forbidden', NO_CODE);
    return found;
  };
  async function register(code: string, answer: unknown): Promise<Enrolled> {
    const { owner, proofing, by, spends, recovers } = await enrolment(code);
    const isOpen = (challenge: string) => challenges.isOpen(challenge, enrolling(owner));
    const { credentialId, jwk, counter } = await verifiedRegistration(answer, { isOpen, origin, rpId });
    const passkey = { credentialId, rpId };
    if (recovers !== undefined) return { kind: 'recovers', owner, reason: recovers, jwk, passkey };
    return { kind: 'registered', key: await keyLog.enrol({ owner, jwk, proofing, passkey, counter }, { by, spends }) };
  }
  return {
    async creation(code) {
      const { owner } = await enrolment(code);
      return creationOptions({ challenge: challenges.issue(enrolling(owner)), rpId, handle: handleOf(owner), known: [] });
    },
    async enrol(code, answer) {
      const made = await register(code, answer);
      if (made.kind !== 'registered') throw new AssentError('forbidden', NO_CODE);
      return made.key;
    },
    register,
    anotherFor(owner, known) {
      requireHostName(rpId);
      return creationOptions({ challenge: challenges.issue(adding(owner)), rpId, handle: handleOf(owner), known });
    },
    async made(owner, answer) {
      const isOpen = (challenge: string) => challenges.isOpen(challenge, adding(owner));
      const { credentialId, jwk } = await verifiedRegistration(answer, { isOpen, origin, rpId });
      return { jwk, passkey: { credentialId, rpId } };
    },
    request() {
      requireHostName(rpId);
      return { challenge: challenges.issue(SIGN_IN), rpId, userVerification: 'required', timeout: TIMEOUT_MS, allowCredentials: [] };
    },
    async signIn(answer, as = 'patient') {
      const assertion = parseAssertion(assertionText(answer) ?? '');
      const challenge = assertion && challengeOf(assertion);
      if (!assertion || challenge === undefined || !challenges.isOpen(challenge, SIGN_IN)) throw notSignedIn();
      const key = await keys.ofCredential(assertion.id);
      if (!key || key.revoked || key.role !== as || key.passkey?.rpId !== rpId) throw notSignedIn();
      if (!isOwn(answer, handleOf(key.owner))) throw notSignedIn();
      if (!assertionHolds(assertion, key.jwk, { challenge: Buffer.from(challenge, 'base64url'), origin, rpId })) throw notSignedIn();
      if (!(await challenges.use(challenge)) || !(await countsUp(records, assertion.id, counterOf(assertion)))) throw notSignedIn();
      return key;
    },
  };
}

const NO_CODE = 'This code is not valid: it was mistyped, used already, or is too old. Ask for a new one where you got it.';
const NOT_MADE = 'The passkey could not be registered: it must be made on this page, in time, by a device that checks who uses it.';
const notSignedIn = () => new AssentError('forbidden', 'This passkey does not sign in here.');

const enrolling = (owner: string) => `enrol ${owner}`;
const adding = (owner: string) => `add ${owner}`;

/** Browsers bind passkeys to names only. */
function requireHostName(rpId: string): void {
  if (rpId === '' || isIP(rpId) !== 0)
    throw new AssentError('not-supported', 'Passkeys need a server with a host name: its public URL has none (ASSENT_PUBLIC_URL).');
}

type Creating = { readonly challenge: string; readonly rpId: string; readonly handle: Uint8Array; readonly known: readonly string[] };

function creationOptions({ challenge, rpId, handle, known }: Creating): object {
  const name = 'Health record';
  return {
    rp: { id: rpId, name: 'Assent' },
    user: { id: Buffer.from(handle).toString('base64url'), name, displayName: name },
    challenge,
    pubKeyCredParams: [ES256, EDDSA].map((alg) => ({ type: 'public-key', alg })),
    timeout: TIMEOUT_MS,
    attestation: 'none',
    // A device that has one would put the new one in its place.
    excludeCredentials: known.map((id) => ({ type: 'public-key', id })),
    authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
  };
}

type Expected = { readonly isOpen: (challenge: string) => boolean; readonly origin: string; readonly rpId: string };
type Verified = { readonly credentialId: string; readonly jwk: PublicJwk; readonly counter: number };

/** The library is loaded where a passkey is registered only: it costs every start its time. */
async function verifiedRegistration(answer: unknown, { isOpen, origin, rpId }: Expected): Promise<Verified> {
  const { verifyRegistrationResponse } = await import('@simplewebauthn/server');
  type Response = Parameters<typeof verifyRegistrationResponse>[0]['response'];
  try {
    if (isFramed(answer as Response)) throw new AssentError('forbidden', NOT_MADE);
    const { registrationInfo } = await verifyRegistrationResponse({
      response: answer as Response,
      expectedChallenge: isOpen,
      expectedOrigin: origin,
      expectedRPID: rpId,
      requireUserVerification: true,
      supportedAlgorithmIDs: [ES256, EDDSA],
    });
    if (!registrationInfo) throw new AssentError('forbidden', NOT_MADE);
    const { id, publicKey, counter } = registrationInfo.credential;
    return { credentialId: id, jwk: await jwkOf(publicKey), counter };
  } catch (error) {
    // Whatever an answer holds that the library chokes on, it is the sender's.
    throw new AssentError('forbidden', NOT_MADE, { cause: error });
  }
}

/** On a page that another site shows as a part of its own, where the person does not see whose it is: the library does not look. §7.1 steps 10, 11 */
function isFramed({ response }: { readonly response: { readonly clientDataJSON: string } }): boolean {
  const said = JSON.parse(Buffer.from(response.clientDataJSON, 'base64url').toString('utf8')) as {
    readonly crossOrigin?: unknown;
    readonly topOrigin?: unknown;
  };
  return (said.crossOrigin !== undefined && said.crossOrigin !== false) || said.topOrigin !== undefined;
}

/** COSE_Key → JWK. https://www.rfc-editor.org/rfc/rfc9053 §7 */
async function jwkOf(cose: Uint8Array_): Promise<PublicJwk> {
  const { decodeCredentialPublicKey } = await import('@simplewebauthn/server/helpers');
  const key = decodeCredentialPublicKey(cose) as unknown as ReadonlyMap<number, unknown>;
  const text = (label: number) => Buffer.from(key.get(label) as Uint8Array).toString('base64url');
  return key.get(1) === 2 ? { kty: 'EC', crv: 'P-256', x: text(-2), y: text(-3) } : { kty: 'OKP', crv: 'Ed25519', x: text(-2) };
}

/** A discoverable credential says whose it is; one that says another is not the one that was registered. */
function isOwn(answer: unknown, handle: Uint8Array): boolean {
  const { userHandle } = ((answer as { readonly response?: unknown }).response ?? {}) as { readonly userHandle?: unknown };
  return userHandle === undefined || userHandle === null || userHandle === Buffer.from(handle).toString('base64url');
}

/** False: a copy of the authenticator signed in meanwhile. Those that do not count say 0 always. */
async function countsUp(records: RecordStore, credentialId: string, counter: number): Promise<boolean> {
  const record = await records.get(CREDENTIAL, credentialId);
  const { counter: before = 0 } = (record?.value ?? {}) as { readonly counter?: number };
  if (!record || (counter <= before && (counter > 0 || before > 0))) return false;
  if (counter === before) return true;
  return (await records.put(CREDENTIAL, credentialId, { counter }, { revision: record.revision })).kind === 'written';
}
