/**
 * The Consents by which patients let apps in: on which terms each was made, kept from the moment its words are shown. authorization.md §3
 *
 * Invariant: what an app is granted by a patient rests on one Consent, on the terms that were shown with it.
 */
import { digestOf } from '../../ledger/hash.ts';
import type { RecordStore, RecordValue } from '../store/port.ts';

/** What the patient decides about. `patient`: `Patient/1`; `narrowed`: what they chose besides the scopes, as the page words it for itself. */
export type AppTerms = {
  readonly client: string;
  readonly patient: string;
  readonly purpose: string;
  readonly scopes: readonly string[];
  readonly narrowed: string;
};

/** `consent`: logical id; `digest`: of the statement that is signed; `until`: ms since 1970, when the Consent ends. */
export type AppConsent = AppTerms & { readonly consent: string; readonly digest: string; readonly until: number };

export type AppConsents = {
  /** Its words are shown in this request of the app; whatever was shown in it before is not decided about any more. */
  show(uid: string, made: AppConsent): Promise<void>;
  /** The one whose words were shown last. */
  shownIn(uid: string): Promise<AppConsent | undefined>;
  /** It was signed: from now on it is found by its terms. */
  sign(made: AppConsent): Promise<void>;
  /** Those that were signed on these terms, in whatever state they are now. */
  signedOn(terms: AppTerms): Promise<readonly AppConsent[]>;
};

const SHOWN = 'app-consent-shown';
const SIGNED = 'app-consent';
/** Longer than a request of an app lasts. */
const SHOWN_MS = 3600_000;
const MOST = 100;

export function createAppConsents({ records, clock }: { readonly records: RecordStore; readonly clock: () => number }): AppConsents {
  return {
    async show(uid, made) {
      await records.put(SHOWN, uid, made as unknown as RecordValue, { expires: clock() + SHOWN_MS });
    },
    shownIn: async (uid) => (await records.get(SHOWN, uid))?.value as unknown as AppConsent | undefined,
    async sign(made) {
      await records.put(SIGNED, made.consent, made as unknown as RecordValue, { lookup: [keyOf(made)], expires: made.until });
    },
    async signedOn(terms) {
      const found = await records.list(SIGNED, { lookup: keyOf(terms), limit: MOST });
      return found.map(({ value }) => value as unknown as AppConsent);
    },
  };
}

/** The same for the same scopes in any order. */
function keyOf({ client, patient, purpose, scopes, narrowed }: AppTerms): string {
  return digestOf(JSON.stringify([client, patient, purpose, scopes.toSorted(), narrowed]));
}
