/**
 * The tail, held against what the signer remembers: where the log is not the one it was, it tells nothing. ledger.md §2, §3
 * Invariant: whoever catches up with it does so only while the signer signs and the rows about Consents and keys are those that were signed.
 */
import { AssentError } from '../errors.ts';
import type { LogRecords } from './log-records.ts';
import { chainOfLinks, sameChain } from './row-chain.ts';
import type { Signer } from './signer.ts';
import type { Tail } from './tail.ts';

export type HeldTail = {
  readonly tail: Tail;
  /** Throws AssentError('unavailable') with the reason. */
  check(): Promise<void>;
  /** Once what is stored was found to continue what was signed: reads all rows. */
  hold(): Promise<void>;
};

type Log = { readonly tail: Tail; readonly signer: Signer; readonly stored: LogRecords };
/** `tampered`: told when the rows turn out to be others. */
type Dependencies = Log & { readonly report: (fault: unknown) => void; readonly tampered: () => void };

export function createHeldTail({ tail, signer, stored, report, tampered: raise }: Dependencies): HeldTail {
  let tampered: string | undefined;
  const check = async (): Promise<void> => {
    const status = signer.status();
    const reason = status.kind === 'refused' ? status.reason : tampered;
    if (reason !== undefined) throw new AssentError('unavailable', reason);
  };
  return {
    check,
    tail: {
      ...tail,
      async catchUp() {
        await check();
        await tail.catchUp();
      },
    },
    async hold() {
      if (await isAsSigned({ tail, signer, stored })) return;
      // Whose they were cannot be told from rows that were changed, so nothing is disclosed about anyone.
      tampered = 'The log rows about Consents and keys are not those that were signed.';
      report(new AssentError('unavailable', tampered));
      raise();
    },
  };
}

/** Another process may erase an entry between the reading of its row and of its salt: then all is read once more. */
const MOST_READINGS = 3;

async function isAsSigned({ tail, signer, stored }: Log): Promise<boolean> {
  for (let i = 0; i < MOST_READINGS; i++) {
    await tail.catchUp();
    const signed = signer.head();
    const chain = signed && (await chainOfLinks(tail.links(signed.size), stored));
    if (!signed || chain) {
      tail.forgetLinks();
      return !signed || sameChain(chain, signed.chain);
    }
    tail.reset();
  }
  return false;
}
