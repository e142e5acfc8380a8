/** `assent verifier > verify.html`: the page that proves receipts, one file that works from a phone without a network. Also at /ledger/verify.html. */
import { readFile } from 'node:fs/promises';

const page = new URL('../../ledger/verifier/verify.html', import.meta.url);

export const verifierPage = (): Promise<string> => readFile(page, 'utf8');

export async function verifier(): Promise<number> {
  const text = await verifierPage();
  await new Promise<void>((resolve) => process.stdout.write(text, () => resolve()));
  return 0;
}
