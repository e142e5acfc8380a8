/** Keys and what is signed about them, as a patient's app and a custodian's desk do it over HTTP. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import canonicalize from 'canonicalize';
import { type Answer, type Json, jws, type Key, type Session } from '../../server/commands/demo/session.ts';
import type { RealServer } from './real-server.ts';

/** A key nobody has registered yet. */
export type FreshKey = Key & { readonly jwk: Json };

export function freshKey(owner: string): FreshKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' }) as Json;
  const kid = createHash('sha256')
    .update(canonicalize(jwk) ?? '')
    .digest('base64url');
  return { kid, owner, privateKey, jwk };
}

type Stating = Pick<RealServer, 'now'> & { readonly bootstrap: Pick<RealServer['bootstrap'], 'fhirBaseUrl'> };

/** The exact text of a statement about keys. `said`: its own members, and what is to be other than usual. */
export function keyStatement({ bootstrap, now }: Stating, kind: string, said: Json): string {
  const usual = { type: `urn:assent:${kind}:1`, audience: bootstrap.fhirBaseUrl, created: new Date(now()).toISOString() };
  return canonicalize({ ...usual, ...said }) ?? '';
}

/** Signed detached by each of the keys. */
export function sendSigned(session: Session, operation: string, statement: string, keys: readonly Key[]): Promise<Answer> {
  return sendSignatures(
    session,
    operation,
    statement,
    keys.map((key) => jws(key, statement, true)),
  );
}

export function sendSignatures(session: Session, operation: string, statement: string, signatures: readonly string[]): Promise<Answer> {
  return session.call('POST', operation, {
    resourceType: 'Parameters',
    parameter: [{ name: 'statement', valueString: statement }, ...signatures.map((signature) => ({ name: 'signature', valueString: signature }))],
  });
}

type Rotating = { readonly present: Key; readonly next: FreshKey; readonly retires?: boolean; readonly said?: Json };

export function rotate(server: RealServer, { present, next, retires = true, said = {} }: Rotating, session = server.admin): Promise<Answer> {
  const statement = keyStatement(server, 'key-rotation', { owner: present.owner, jwk: next.jwk, retires, ...said });
  return sendSigned(session, '$rotate-key', statement, [present, next]);
}
