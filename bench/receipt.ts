/** The size of a receipt and the CPU that checking it takes. */
import { packed } from '../ledger/packing.ts';
import { verifyReceipt } from '../ledger/receipt.ts';
import { round } from './rates.ts';
import type { World } from './world.ts';

const RUNS = 500;

export type ReceiptFigures = { readonly bytes: number; readonly packedBytes: number; readonly verifyCpuMs: number };

export async function receiptFigures({ insurer, patient }: World): Promise<ReceiptFigures> {
  const url = (await insurer.call('GET', patient)).headers.get('assent-receipt') ?? '';
  const text = await sealed(() => insurer.call('GET', url));
  for (let run = 0; run < RUNS; run++) if (verifyReceipt(text).kind !== 'proven') throw new Error('a genuine receipt was not proven');
  const before = process.threadCpuUsage();
  for (let run = 0; run < RUNS; run++) verifyReceipt(text);
  const { user, system } = process.threadCpuUsage(before);
  return { bytes: Buffer.byteLength(text), packedBytes: packed(text).length, verifyCpuMs: round((user + system) / 1000 / RUNS, 2) };
}

const MOST_ASKED = 100;

/** 202 until the batch is sealed. */
async function sealed(ask: () => Promise<{ readonly status: number; readonly text: string }>): Promise<string> {
  for (let asked = 0; asked < MOST_ASKED; asked++) {
    const { status, text } = await ask();
    if (status === 200) return text;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error('the receipt was never sealed');
}
