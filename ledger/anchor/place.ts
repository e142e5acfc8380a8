/**
 * Where a checkpoint is anchored, as one extension line of it. https://c2sp.org/tlog-checkpoint
 * Invariant: one place has one spelling, so that whoever signs the checkpoint signs the whole of it.
 */
import { fromBase64Url } from '../encoding.ts';
import { HASH_BYTES } from '../hash.ts';

export type EvmPlace = {
  readonly kind: 'evm';
  readonly chainId: number;
  /** 0x and 40 lower-case hex digits. */
  readonly contract: string;
  /** 0x and 64 lower-case hex digits, as the transaction’s name below. */
  readonly logId: string;
  readonly seq: number;
  readonly transaction: string;
  readonly block: number;
};

/** `digest`: base64url SHA-256 of the authority’s reply. */
export type StampPlace = { readonly kind: 'rfc3161'; readonly digest: string };

export type Place = EvmPlace | StampPlace;

export const placeKinds: readonly Place['kind'][] = ['evm', 'rfc3161'];

const NUMBER = '(0|[1-9]\\d{0,14})';
const EVM = new RegExp(`^evm ${NUMBER} (0x[0-9a-f]{40}) (0x[0-9a-f]{64}) ${NUMBER} (0x[0-9a-f]{64}) ${NUMBER}$`);

export function placeLine(place: Place): string {
  if (place.kind === 'rfc3161') return `rfc3161 ${place.digest}`;
  const { chainId, contract, logId, seq, transaction, block } = place;
  return `evm ${chainId} ${contract.toLowerCase()} ${logId.toLowerCase()} ${seq} ${transaction.toLowerCase()} ${block}`;
}

export function parsePlace(line: string): Place | undefined {
  const [, chainId, contract = '', logId = '', seq, transaction = '', block] = EVM.exec(line) ?? [];
  if (chainId !== undefined) return { kind: 'evm', chainId: Number(chainId), contract, logId, seq: Number(seq), transaction, block: Number(block) };
  const digest = line.startsWith('rfc3161 ') ? line.slice('rfc3161 '.length) : '';
  return fromBase64Url(digest)?.length === HASH_BYTES ? { kind: 'rfc3161', digest } : undefined;
}
