/**
 * The patient who is signed in, from the cookie of a request.
 * Invariant: the session is judged at each use (authz/patient-sessions.ts). SameSite=Lax, because an app that sends its user here to be authorised
 * comes from elsewhere: such a link brings the cookie, a form from elsewhere does not, and nothing changes but by forms of our own pages.
 */
import type { Caller } from '../../consent/model.ts';
import { createSessionCookie, formTokenOf } from '../session-cookie.ts';

export type PatientSession = {
  /** The patient as actor, purpose PATRQT. */
  readonly caller: Caller;
  /** `Patient/1`. */
  readonly patient: string;
  /** Goes into each form as `token`; checked by requireFormOf. */
  readonly formToken: string;
};

type SignedIn = Pick<PatientSession, 'caller' | 'patient'>;
type Key = { readonly kid: string; readonly owner: string };

/** What the authorization room offers. */
export type SessionStore = {
  start(key: Key): Promise<string>;
  find(secret: string): Promise<SignedIn | undefined>;
  end(secret: string): Promise<void>;
};

export type PatientCookies = {
  /** Resolves with the Set-Cookie header. Throws AssentError('forbidden') where there is no living patient. */
  start(key: Key): Promise<string>;
  find(cookieHeader: string | undefined): Promise<PatientSession | undefined>;
  /** Ends the session and resolves with the header that clears the cookie. */
  end(cookieHeader: string | undefined): Promise<string>;
};

/** That of the session; what is stored decides. */
const COOKIE_MS = 30 * 60_000;

export function createPatientCookies({ sessions, secure }: { readonly sessions: SessionStore; readonly secure: boolean }): PatientCookies {
  const cookie = createSessionCookie('assent-patient', { sameSite: 'Lax', secure });
  return {
    start: async (key) => cookie.holding(await sessions.start(key), COOKIE_MS),
    async find(header) {
      const secret = cookie.read(header);
      const found = secret === undefined ? undefined : await sessions.find(secret);
      return secret !== undefined && found ? { ...found, formToken: formTokenOf(secret) } : undefined;
    },
    async end(header) {
      const secret = cookie.read(header);
      if (secret !== undefined) await sessions.end(secret);
      return cookie.cleared;
    },
  };
}
