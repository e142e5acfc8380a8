/**
 * An authenticator in software: it makes passkeys and assertions as a browser hands them on, and, told to, such as no honest one makes.
 * https://www.w3.org/TR/webauthn-3/ §6
 */
import { createHash, generateKeyPairSync, type JsonWebKey, type KeyObject, randomBytes, sign } from 'node:crypto';

/** What may be other than it should. */
export type Forged = {
  readonly origin?: string;
  readonly rpId?: string;
  /** Bits of authenticatorData: 0x01 present, 0x04 verified. */
  readonly flags?: number;
  readonly counter?: number;
  readonly challenge?: string;
  readonly type?: string;
  readonly userHandle?: string;
  readonly id?: string;
  readonly clientData?: Readonly<Record<string, unknown>>;
};

export type AssertionAnswer = {
  readonly id: string;
  readonly rawId: string;
  readonly type: 'public-key';
  readonly response: {
    readonly authenticatorData: string;
    readonly clientDataJSON: string;
    readonly signature: string;
    readonly userHandle?: string;
  };
  readonly clientExtensionResults: object;
};

export type SoftPasskey = {
  readonly id: string;
  readonly jwk: JsonWebKey;
  readonly privateKey: KeyObject;
  /** To options of PublicKeyCredentialCreationOptionsJSON. */
  registration(options: { readonly challenge: string; readonly user: { readonly id: string } }, forged?: Forged): object;
  assertion(options: { readonly challenge: string }, forged?: Forged): AssertionAnswer;
};

const PRESENT_AND_VERIFIED = 0x05;
const ATTESTED = 0x40;
const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest();
const base64url = (data: string | Uint8Array) => Buffer.from(data).toString('base64url');

export function createPasskey({ origin, curve = 'P-256' }: { readonly origin: string; readonly curve?: 'P-256' | 'Ed25519' | 'P-384' }): SoftPasskey {
  const { publicKey, privateKey } = curve === 'Ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: curve });
  const jwk = publicKey.export({ format: 'jwk' });
  const id = base64url(randomBytes(16));
  let counter = 0;
  let handle: string | undefined;
  const head = ({ rpId = new URL(origin).hostname, flags = PRESENT_AND_VERIFIED, counter: stated }: Forged, more = 0) => {
    const data = Buffer.concat([sha256(rpId), Buffer.from([flags | more]), Buffer.alloc(4)]);
    data.writeUInt32BE(stated ?? ++counter, 33);
    return data;
  };
  const clientData = (type: string, challenge: string, forged: Forged) =>
    JSON.stringify({
      type: forged.type ?? type,
      challenge: forged.challenge ?? challenge,
      origin: forged.origin ?? origin,
      crossOrigin: false,
      ...forged.clientData,
    });
  return {
    id,
    jwk,
    privateKey,
    registration({ challenge, user }, forged = {}) {
      handle = user.id;
      const raw = Buffer.from(id, 'base64url');
      const authData = Buffer.concat([head({ counter: 0, ...forged }, ATTESTED), Buffer.alloc(16), Buffer.from([0, raw.length]), raw, cose(jwk)]);
      const response = {
        clientDataJSON: base64url(clientData('webauthn.create', challenge, forged)),
        attestationObject: base64url(attestation(authData)),
      };
      return { id, rawId: id, type: 'public-key', response, clientExtensionResults: {} };
    },
    assertion({ challenge }, forged = {}) {
      const authenticatorData = head(forged);
      const client = clientData('webauthn.get', challenge, forged);
      const message = Buffer.concat([authenticatorData, sha256(client)]);
      const signature = curve === 'Ed25519' ? sign(null, message, privateKey) : sign('sha256', message, privateKey);
      const userHandle = forged.userHandle ?? handle;
      const response = {
        authenticatorData: base64url(authenticatorData),
        clientDataJSON: base64url(client),
        signature: base64url(signature),
        ...(userHandle === undefined ? {} : { userHandle }),
      };
      const named = forged.id ?? id;
      return { id: named, rawId: named, type: 'public-key', response, clientExtensionResults: {} };
    },
  };
}

/** CTAP2's one spelling of the COSE_Key. */
function cose({ kty, crv, x = '', y = '' }: JsonWebKey): Buffer {
  const coordinate = (text: string) => {
    const bytes = Buffer.from(text, 'base64url');
    return Buffer.concat([Buffer.from([0x58, bytes.length]), bytes]);
  };
  if (kty === 'OKP') return Buffer.concat([Buffer.from('a4010103272006' + '21', 'hex'), coordinate(x)]);
  // -7 on P-256 (1), -35 on P-384 (2).
  const kind = crv === 'P-256' ? 'a501020326' + '2001' : 'a50102033822' + '2002';
  return Buffer.concat([Buffer.from(`${kind}21`, 'hex'), coordinate(x), Buffer.from([0x22]), coordinate(y)]);
}

/** { fmt: "none", attStmt: {}, authData } */
function attestation(authData: Buffer): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([0x60 | value.length]), Buffer.from(value)]);
  const length = Buffer.from([0x59, authData.length >> 8, authData.length & 0xff]);
  return Buffer.concat([Buffer.from([0xa3]), text('fmt'), text('none'), text('attStmt'), Buffer.from([0xa0]), text('authData'), length, authData]);
}
