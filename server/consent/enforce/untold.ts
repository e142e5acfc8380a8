/**
 * Which answers of the Gate show something. Of any other it may be the caller's view that there is nothing, and the time it took must not tell
 * which: it is said to be untold, and leaves when it tells least (server/http/held.ts). consent.md §3 (timing)
 *
 * Invariants: untold is what is not known to show something: a method does not compile without its row here, and what throws shows nothing. Of what is
 * untold whatever is answered it is said before it is asked, and of a read before it is recorded (recordMiss, recordDisclosure).
 */
import type { Gate, SearchResult } from '../gate.ts';
import type { Caller } from '../model.ts';

type Methods = Omit<Gate, 'caller'>;
type Answer<M extends keyof Methods> = Awaited<ReturnType<Methods[M]>>;
/** By the answer, or by what is asked whatever the answer. */
type Shows<M extends keyof Methods> =
  | ((answer: Answer<M>) => boolean)
  | { readonly asked: (caller: Caller, ...asked: Parameters<Methods[M]>) => boolean };

const isThere = ({ kind }: { readonly kind: string }): boolean => kind !== 'absent';
const hasRows = (found: { readonly rows: readonly unknown[] } | { readonly kind: 'absent' }): boolean => 'rows' in found && found.rows.length > 0;
const hasMatches = ({ rows, included, total = 0 }: SearchResult): boolean => rows.length > 0 || included.length > 0 || total > 0;
/** What changes something rests on what the caller may not see: targets, matches of a condition, patients who may be nobody. */
const never = { asked: (): boolean => false };
/** Made of the caller's own Consents alone. */
const always = { asked: (): boolean => true };

const SHOWS: { readonly [M in keyof Methods]: Shows<M> } = {
  read: isThere,
  readVersion: isThere,
  history: hasRows,
  gather: hasRows,
  search: hasMatches,
  searchSeveral: hasMatches,
  latest: hasRows,
  // Who chooses ids learns which are taken (rule 22), and nothing of what a condition would match.
  write: { asked: (caller, operations) => (caller.admin || caller.choosesIds) && operations.every((operation) => !('ifNoneExist' in operation)) },
  explainAccess: isThere,
  disclosures: isThere,
  receipt: isThere,
  ledgerProof: isThere,
  statementOf: (statement) => statement !== undefined,
  standing: always,
  permitsNow: always,
  explain: never,
  prepareConsent: never,
  signConsent: never,
  signPreparedConsent: never,
  withdrawConsent: never,
  requestConsent: never,
  approveConsent: never,
  refuseConsent: never,
  narrowRequest: never,
  expireRequests: never,
  endBeforeErasure: never,
  breakGlass: never,
  rotateKey: never,
  revokeKey: never,
  recoverKey: never,
  completeRecoveries: never,
  stopRecovery: never,
  grantAuthority: never,
  endAuthority: never,
};

/**
 * The Gate of a caller; `untold` is called before an answer that shows nothing is there, and before what is thrown. `called`: a Gate for one call, which
 * gives what is written in it the time at which it came.
 */
export function tellingWhatIsUntold(caller: Caller, called: () => Methods, untold: () => void): Gate {
  const telling = <M extends keyof Methods>(method: M) => {
    const row = SHOWS[method] as Shows<M>;
    return async (...asked: Parameters<Methods[M]>) => {
      const known = 'asked' in row ? row.asked(caller, ...asked) : undefined;
      if (known === false) untold();
      let shows = false;
      try {
        const ask = called()[method] as (...asked: Parameters<Methods[M]>) => Promise<Answer<M>>;
        const answer = await ask(...asked);
        shows = 'asked' in row ? known === true : row(answer);
        return answer;
      } finally {
        if (!shows) untold();
      }
    };
  };
  const methods = Object.keys(SHOWS) as (keyof Methods)[];
  return { caller, ...(Object.fromEntries(methods.map((method) => [method, telling(method)])) as unknown as Methods) };
}
