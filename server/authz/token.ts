/**
 * Bearer token → Caller. A token is verified once by @fastify/jwt and remembered; every use checks its expiry and, when the epoch has
 * moved, that its client's registration is still the one it was issued under and that what a person allowed still stands. https://www.rfc-editor.org/rfc/rfc6750
 *
 * Invariant: everything in a Caller comes from a token we signed; nothing comes from any other header. A removed or changed client, and
 * one whose grant was revoked, is refused on its very next request, in every process, because that moved the epoch that each request reads.
 */
import type { JWT } from '@fastify/jwt';
import { randomUUID } from 'node:crypto';
import { importJWK, type JWK, SignJWT } from 'jose';
import type { Clock } from '../clock.ts';
import type { Caller, Launch } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import { ADMIN_SCOPE, LAUNCH_SCOPE, parseScope, roleOf, writtenScope } from './scopes.ts';
import type { SigningKey } from './signing-keys.ts';

export type VerifiedToken = { readonly caller: Caller; readonly generation: string /** ms since 1970 */; readonly expires: number };

/** Throws when the token is not one of ours, or not for us, or not valid now. */
export type VerifyToken = (token: string) => VerifiedToken;

export type Authenticator = {
  /** Throws AssentError('unauthenticated'). */
  authenticate(request: { readonly headers: { readonly authorization?: string | undefined } }): Promise<Caller>;
};

export type AuthenticatorDeps = {
  readonly verify: VerifyToken;
  /** Grows with every change of a registration, in every process. */
  readonly epoch: () => Promise<number>;
  /** The generation of the client's registration now; undefined: there is no such client. */
  readonly generationOf: (client: string) => Promise<string | undefined>;
  /** Whether what a person allowed still stands. Its end moves the epoch. */
  readonly grantStands: (grant: string) => Promise<boolean>;
  readonly clock: Clock;
  /** Most tokens remembered. */
  readonly capacity?: number;
};

type Remembered = VerifiedToken & { checkedAt: number };

/** Far above any token we issue: longer ones cost no verification. */
const LONGEST = 8192;

export function createAuthenticator({ verify, epoch, generationOf, grantStands, clock, capacity = 10_000 }: AuthenticatorDeps): Authenticator {
  const tokens = createBoundedCache<Remembered>(capacity);

  async function recheck(header: string, entry: Remembered, now: number): Promise<void> {
    const { client, launch } = entry.caller;
    if ((await generationOf(client)) === entry.generation && (launch === undefined || (await grantStands(launch.grant)))) {
      entry.checkedAt = now;
      return;
    }
    tokens.delete(header);
    throw refused();
  }

  return {
    async authenticate({ headers: { authorization: header } }) {
      if (header === undefined) throw refused();
      // Read before the registration: if it moves in between, the next use checks again.
      const now = await epoch();
      let entry = tokens.get(header);
      if (entry === undefined) {
        entry = { ...verifyHeader(header, verify), checkedAt: -1 };
        tokens.set(header, entry);
      }
      if (entry.expires <= clock()) {
        tokens.delete(header);
        throw refused();
      }
      if (entry.checkedAt !== now) await recheck(header, entry, now);
      return entry.caller;
    },
  };
}

function verifyHeader(header: string, verify: VerifyToken): VerifiedToken {
  const [, token] = /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(header.length > LONGEST ? '' : header) ?? [];
  if (token === undefined) throw refused();
  try {
    return verify(token);
  } catch {
    throw refused(); // why is nobody's business but the issuer's
  }
}

function refused(): AssentError {
  return new AssentError('unauthenticated');
}

/** Verification by @fastify/jwt, everything pinned: algorithm, type, issuer, audience and the claims that must be there. */
export function createTokenVerifier({
  jwt,
  signingKey,
  issuer,
  audience,
  clock,
}: {
  readonly jwt: JWT;
  readonly signingKey: SigningKey;
  readonly issuer: string;
  readonly audience: string;
  readonly clock: Clock;
}): VerifyToken {
  return (token) => {
    const claims: unknown = jwt.verify(token, {
      key: signingKey.publicPem,
      algorithms: ['RS256'],
      allowedIss: issuer,
      allowedAud: audience,
      checkTyp: 'at+jwt',
      requiredClaims: ['iss', 'aud', 'exp', 'iat', 'jti', 'client_id', 'scope', 'actor', 'purpose', 'reg'],
      clockTimestamp: clock(),
    });
    return readClaims(claims as Readonly<Record<string, unknown>>);
  };
}

function readClaims(claims: Readonly<Record<string, unknown>>): VerifiedToken {
  const text = (name: string): string => {
    const value = claims[name];
    if (typeof value !== 'string' || value === '') throw refused();
    return value;
  };
  const words = text('scope').split(' ');
  const launch = claims['grant'] === undefined ? undefined : launchOf(text, claims['patient'] !== undefined);
  const scopes = [...words, ...ownResource(claims, launch)].flatMap((word) => parseScope(word) ?? []);
  // What is bound to a person or a patient means nothing, rather than everything, where none is named.
  if (scopes.some(({ context }) => (context !== 'system' && !launch) || (context === 'patient' && launch?.patient === undefined))) throw refused();
  const roles = words.flatMap((word) => roleOf(word) ?? []);
  const caller: Caller = {
    client: text('client_id'),
    actor: text('actor'),
    purpose: text('purpose'),
    scopes,
    admin: words.includes(ADMIN_SCOPE),
    choosesIds: claims['chooses_ids'] === true,
    tokenId: text('jti'),
    ...(launch ? { launch } : {}),
    ...(roles.length > 0 ? { roles } : {}),
    ...(words.includes(LAUNCH_SCOPE) ? { opensApps: true } : {}),
  };
  const expires = Number(claims['exp']) * 1000;
  const opened = claims['break_glass'] === undefined ? {} : { breakGlass: { patient: text('break_glass'), until: expires } };
  return { caller: Object.freeze({ ...caller, ...opened }), generation: text('reg'), expires };
}

/** Scope fhirUser: to read the resource of who is signed in, and no other of its type. */
function ownResource({ beside }: Readonly<Record<string, unknown>>, launch: Launch | undefined): readonly string[] {
  const [type, id] = launch && typeof beside === 'string' && beside.split(' ').includes('fhirUser') ? launch.user.split('/') : [];
  return type === undefined || id === undefined ? [] : [`user/${type}.r?_id=${id}`];
}

function launchOf(text: (name: string) => string, hasPatient: boolean): Launch {
  return { grant: text('grant'), user: text('fhir_user'), ...(hasPatient ? { patient: text('patient') } : {}) };
}

/** The claims of a token that carry it. */
export function launchClaims({ grant, user, patient }: Launch): Readonly<Record<string, string>> {
  return { grant, fhir_user: user, ...(patient === undefined ? {} : { patient }) };
}

export type BreakGlassTokenDeps = {
  readonly signingKey: SigningKey;
  readonly issuer: string;
  readonly audience: string;
  readonly generationOf: AuthenticatorDeps['generationOf'];
  readonly clock: Clock;
};

/**
 * A token for one patient and purpose BTG, to read and search with, of what the caller's own token reads and searches. Only for what was recorded
 * already: the Gate's breakGlass. Throws AssentError('unauthenticated') when the client is gone.
 */
export function createBreakGlassToken({ signingKey, issuer, audience, generationOf, clock }: BreakGlassTokenDeps) {
  return async (caller: Caller, { patient, until }: NonNullable<Caller['breakGlass']>): Promise<string> => {
    const generation = await generationOf(caller.client);
    if (generation === undefined) throw refused();
    const scopes = caller.scopes.flatMap((scope) => {
      const reading = scope.letters.replaceAll(/[^rs]/g, '');
      return reading === '' ? [] : [writtenScope({ ...scope, letters: reading })];
    });
    const who = { client_id: caller.client, actor: caller.actor, reg: generation };
    return new SignJWT({
      ...who,
      ...(caller.launch ? launchClaims(caller.launch) : {}),
      purpose: 'BTG',
      scope: scopes.join(' '),
      break_glass: patient,
    })
      .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: signingKey.kid })
      .setIssuer(issuer)
      .setSubject(caller.client)
      .setAudience(audience)
      .setIssuedAt(Math.floor(clock() / 1000))
      .setExpirationTime(Math.floor(until / 1000))
      .setJti(randomUUID())
      .sign(await importJWK(signingKey.privateJwk as JWK, 'RS256'));
  };
}

/** Two generations of a Map: as good as least-recently-used here, and a hit in the young one moves nothing. */
function createBoundedCache<V>(capacity: number): { get(key: string): V | undefined; set(key: string, value: V): void; delete(key: string): void } {
  let young = new Map<string, V>();
  let old = new Map<string, V>();
  const set = (key: string, value: V): void => {
    if (young.size >= capacity / 2) {
      old = young;
      young = new Map();
    }
    young.set(key, value);
  };
  return {
    get(key) {
      const value = young.get(key);
      if (value !== undefined) return value;
      const aged = old.get(key);
      if (aged !== undefined) set(key, aged);
      return aged;
    },
    set,
    delete(key) {
      young.delete(key);
      old.delete(key);
    },
  };
}
