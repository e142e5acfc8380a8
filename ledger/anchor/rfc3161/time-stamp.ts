/**
 * Time-stamp requests and replies: when an authority had seen a text. RFC 3161, RFC 5816; CMS by pkijs
 * Invariant: a reply counts only for exactly this text, signed by a certificate that is for time-stamping alone and leads to a trusted one.
 */
import { createHash, X509Certificate } from 'node:crypto';
import * as asn1js from 'asn1js';
import {
  AlgorithmIdentifier,
  Certificate,
  type ContentInfo,
  ExtKeyUsage,
  MessageImprint,
  SignedData,
  TimeStampReq,
  TimeStampResp,
  TSTInfo,
} from 'pkijs';
import { sameBytes, sha256 } from '../../hash.ts';

const OID = {
  sha256: '2.16.840.1.101.3.4.2.1',
  timeStampInfo: '1.2.840.113549.1.9.16.1.4',
  signedData: '1.2.840.113549.1.7.2',
  signingCertificate: '1.2.840.113549.1.9.16.2.12',
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  extendedKeyUsage: '2.5.29.37',
  timeStamping: '1.3.6.1.5.5.7.3.8',
} as const;

export const NONCE_BYTES = 16;

export type TimeStamp = {
  /** ms since 1970: the text existed by then, as the authority says. */
  readonly at: number;
  /** The name in the certificate that signed. */
  readonly authority: string;
};

export type TimeStampVerdict =
  | ({ readonly kind: 'stamped' } & TimeStamp)
  /** `reason`: a sentence of ours, whatever the authority sent. */
  | { readonly kind: 'refused'; readonly reason: string };

/** DER of a TimeStampReq over the text’s SHA-256 that asks for the certificates. `nonce`: NONCE_BYTES at random. */
export function timeStampRequest(text: string, nonce: Uint8Array): Uint8Array {
  const request = new TimeStampReq({
    version: 1,
    messageImprint: new MessageImprint({
      hashAlgorithm: new AlgorithmIdentifier({ algorithmId: OID.sha256, algorithmParams: new asn1js.Null() }),
      hashedMessage: new asn1js.OctetString({ valueHex: buffer(sha256(text)) }),
    }),
    nonce: nonceOf(nonce),
    certReq: true,
  });
  return new Uint8Array(request.toSchema().toBER());
}

/** In one spelling: the first bit clear, so that it is positive, and the first byte not zero, so that DER keeps its length. */
function nonceOf(bytes: Uint8Array): asn1js.Integer {
  const positive = Uint8Array.from(bytes);
  positive[0] = ((positive[0] ?? 0) & 0x3f) | 0x40;
  return new asn1js.Integer({ valueHex: buffer(positive) });
}

/** Certificates of the PEM text. Throws Error when one of them is none; an empty list when there is none. */
export function certificatesIn(pem: string): readonly Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => Certificate.fromBER(buffer(new X509Certificate(block).raw)));
}

type Given = {
  readonly text: string;
  readonly trusted: readonly Certificate[];
  /** Of the request; absent: the reply is an old one, and any nonce will do. */
  readonly nonce?: Uint8Array;
};

/** `reply`: DER of a TimeStampResp, as the authority sent it. */
export async function verifyTimeStamp(reply: Uint8Array, given: Given): Promise<TimeStampVerdict> {
  try {
    return await verify(reply, given);
  } catch (error) {
    return { kind: 'refused', reason: error instanceof Refusal ? error.message : 'The reply is not a time-stamp that can be read.' };
  }
}

class Refusal extends Error {}

function refuse(reason: string): never {
  throw new Refusal(reason);
}

async function verify(reply: Uint8Array, { text, trusted, nonce }: Given): Promise<TimeStampVerdict> {
  const response = TimeStampResp.fromBER(buffer(reply));
  // 0: granted, 1: granted with modifications. RFC 3161 §2.4.2
  if (response.status.status > 1 || !response.timeStampToken) refuse('The authority did not grant a time-stamp.');
  const { signed, info } = contentOf(response.timeStampToken);
  requireImprint(info, text);
  if (nonce && !info.nonce?.isEqual(nonceOf(nonce))) refuse('The time-stamp answers another request.');
  const signer = await signerOf(signed, text, trusted);
  requireForTimeStampsOnly(signer);
  requireNamed(signed, signer);
  return { kind: 'stamped', at: info.genTime.getTime(), authority: nameOf(signer) };
}

function contentOf({ contentType, content }: ContentInfo): { readonly signed: SignedData; readonly info: TSTInfo } {
  if (contentType !== OID.signedData) refuse('The time-stamp is not signed.');
  const signed = new SignedData({ schema: content as asn1js.BaseBlock });
  const { eContentType, eContent } = signed.encapContentInfo;
  if (eContentType !== OID.timeStampInfo || !eContent || signed.signerInfos.length !== 1) refuse('The time-stamp is none.');
  return { signed, info: TSTInfo.fromBER(eContent.getValue()) };
}

function requireImprint({ messageImprint: { hashAlgorithm, hashedMessage } }: TSTInfo, text: string): void {
  const same = hashAlgorithm.algorithmId === OID.sha256 && sameBytes(hashedMessage.valueBlock.valueHexView, sha256(text));
  if (!same) refuse('The time-stamp is of another text.');
}

/** The chain is judged at the time the stamp says: certificates may have ended since. RFC 3161 §4 */
async function signerOf(signed: SignedData, text: string, trusted: readonly Certificate[]): Promise<Certificate> {
  const data = buffer(new TextEncoder().encode(text));
  const params = { signer: 0, data, checkChain: true, trustedCerts: [...trusted], extendedMode: true as const };
  const { signatureVerified, signerCertificateVerified, signerCertificate } = await signed
    .verify(params)
    .catch(() => refuse('The time-stamp is not signed by one who leads to a trusted certificate.'));
  if (!signatureVerified || !signerCertificateVerified || !signerCertificate) refuse('The time-stamp’s signature is not good.');
  return signerCertificate;
}

/** RFC 3161 §2.3: this key usage, alone and critical. */
function requireForTimeStampsOnly({ extensions = [] }: Certificate): void {
  const usages = extensions.filter(({ extnID }) => extnID === OID.extendedKeyUsage);
  const [usage] = usages;
  const parsed: unknown = usage?.parsedValue;
  const purposes = parsed instanceof ExtKeyUsage ? parsed.keyPurposes : [];
  if (usages.length !== 1 || usage?.critical !== true || purposes.length !== 1 || purposes[0] !== OID.timeStamping)
    refuse('The certificate that signed is not one for time-stamping.');
}

/** The signature covers a digest of the signer’s certificate, so that no other certificate of the same key can be put in its place. RFC 5816 */
function requireNamed({ signerInfos: [signer] }: SignedData, certificate: Certificate): void {
  const der = new Uint8Array(certificate.toSchema().toBER());
  const named = (signer?.signedAttrs?.attributes ?? [])
    .filter(({ type }) => type === OID.signingCertificate || type === OID.signingCertificateV2)
    .map(({ type, values }) => nameIn(partsOf(partsOf(partsOf(values[0])[0])[0]), type === OID.signingCertificate ? 'sha1' : 'sha256'));
  const isNamed = named.every(
    ({ algorithm, hash }) =>
      hash instanceof asn1js.OctetString && sameBytes(hash.valueBlock.valueHexView, createHash(algorithm).update(der).digest()),
  );
  if (named.length === 0 || !isNamed) refuse('The time-stamp does not name the certificate that signed it.');
}

/** ESSCertID starts with the hash, ESSCertIDv2 with its algorithm unless that is SHA-256. */
function nameIn([first, second]: readonly unknown[], algorithm: string): { readonly algorithm: string; readonly hash: unknown } {
  return first instanceof asn1js.OctetString ? { algorithm, hash: first } : { algorithm: algorithmOf(first), hash: second };
}

function partsOf(block: unknown): readonly unknown[] {
  return block instanceof asn1js.Sequence ? block.valueBlock.value : [];
}

function algorithmOf(block: unknown): string {
  const [oid] = partsOf(block);
  const names: Readonly<Record<string, string>> = { [OID.sha256]: 'sha256', '2.16.840.1.101.3.4.2.2': 'sha384', '2.16.840.1.101.3.4.2.3': 'sha512' };
  const text = oid instanceof asn1js.ObjectIdentifier ? oid.getValue() : '';
  return names[text] ?? refuse('The time-stamp names its certificate by an unknown digest.');
}

function nameOf(certificate: Certificate): string {
  const names = certificate.subject.typesAndValues.map(({ value }) => String(value.valueBlock.value));
  return names.at(-1) ?? '';
}

function buffer(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}
