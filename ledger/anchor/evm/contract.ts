/** Calls of ConsentAnchor, and what it answers. ledger/anchor/contract/ConsentAnchor.sol */
import { createContract, deployContract, events } from 'micro-eth-signer/abi.js';
import contract from '../contract/ConsentAnchor.json' with { type: 'json' };

/** `logId`: 0x and 64 hex digits; `root`: 32 bytes. */
export type Anchoring = { readonly logId: string; readonly seq: number; readonly size: number; readonly root: Uint8Array };
export type Head = { readonly writer: string; readonly seq: number; readonly size: number };

type Encoder = { readonly encodeInput: (input: unknown) => Uint8Array; readonly decodeOutput: (output: Uint8Array) => unknown };
const calls = createContract(contract.abi as never) as unknown as Readonly<Record<'anchor' | 'open' | 'logs', Encoder>>;
const logs = events(contract.abi as never) as unknown as Readonly<
  Record<
    'Anchored' | 'Opened',
    { readonly topics: (values: object) => (string | null)[]; readonly decode: (topics: string[], data: string) => unknown }
  >
>;

export function anchorCall({ logId, seq, size, root }: Anchoring): string {
  return toHex(calls.anchor.encodeInput({ logId: bytes(logId), seq: BigInt(seq), size: BigInt(size), root }));
}

/** `name`: SHA-256 of the log's origin. */
export function openCall(name: Uint8Array, writer: string): string {
  return toHex(calls.open.encodeInput({ name, writer }));
}

export function headCall(logId: string): string {
  return toHex(calls.logs.encodeInput(bytes(logId)));
}

/** undefined where it is no answer of this contract. */
export function readHead(output: unknown): Head | undefined {
  if (typeof output !== 'string' || !/^0x[0-9a-f]{192}$/i.test(output)) return undefined;
  const { writer, seq, size } = calls.logs.decodeOutput(bytes(output)) as { writer: string; seq: bigint; size: bigint };
  return { writer: writer.toLowerCase(), seq: Number(seq), size: Number(size) };
}

/** The code to deploy. `delay`: seconds between the proposal of another writer and its acceptance. */
export function deployCode(delay: number): string {
  return deployContract(contract.abi as never, contract.bytecode, BigInt(delay) as never);
}

type EventLog = { readonly address?: unknown; readonly topics?: unknown; readonly data?: unknown };

/** Whether this is the event of exactly this anchoring by this contract. */
export function isAnchored({ address, topics, data }: EventLog, contractAddress: string, { logId, seq, size, root }: Anchoring): boolean {
  if (String(address).toLowerCase() !== contractAddress.toLowerCase() || !Array.isArray(topics)) return false;
  const expected = [logs.Anchored.topics({ logId: null, seq: null, size: null, root: null })[0], logId];
  const values = [seq, size].map((value) => BigInt(value).toString(16).padStart(64, '0'));
  return (
    JSON.stringify(topics).toLowerCase() === JSON.stringify(expected).toLowerCase() &&
    data === `0x${values.join('')}${Buffer.from(root).toString('hex')}`
  );
}

/** The id in the event of an opening. */
export function openedLogId({ topics }: EventLog): string | undefined {
  const [signature, logId] = Array.isArray(topics) ? (topics as unknown[]) : [];
  const expected = logs.Opened.topics({ logId: null, name: null, admin: null, writer: null })[0];
  return signature === expected && typeof logId === 'string' ? logId : undefined;
}

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.slice(2), 'hex'));
}

function toHex(data: Uint8Array): string {
  return `0x${Buffer.from(data).toString('hex')}`;
}
