/**
 * Who is signed in to the console. https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html
 * Invariant: a session is an access token behind a cookie, judged at each use like any other token: it ends with the token, and on the very
 * next request when the client is removed or changed. It lives in this process only; of the cookie, memory holds a hash.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import type { Caller } from '../../consent/model.ts';
import { AssentError } from '../../errors.ts';
import { createGuessLimit } from '../guess-limit.ts';
import { createSessionCookie, formTokenOf } from '../session-cookie.ts';

/** That of an access token; what the token says still decides. */
const LIFETIME_MS = 10 * 60_000;
const MOST_SESSIONS = 1000;

export type Session = {
  readonly caller: Caller;
  /** Goes into each form: a request without it did not come from our page. */
  readonly formToken: string;
};

export type Sessions = {
  /** Resolves with the cookie header, or undefined for wrong credentials. Throws AssentError('rate-limited'). */
  start(id: string, secret: string): Promise<string | undefined>;
  find(cookieHeader: string | undefined): Promise<Session | undefined>;
  /** Ends the session and gives the header that clears the cookie. */
  end(cookieHeader: string | undefined): string;
};

export type SessionDependencies = {
  /** An access token with all that the client administers, from the token endpoint; undefined where it refuses. */
  readonly signIn: (id: string, secret: string) => Promise<string | undefined>;
  /** As for a bearer token of a request. Throws AssentError('unauthenticated'). */
  readonly callerOf: (token: string) => Promise<Caller>;
  readonly clock: Clock;
  readonly secure: boolean;
};

export function createSessions({ signIn, callerOf, clock, secure }: SessionDependencies): Sessions {
  const live = new Map<string, { token: string; until: number }>();
  const guesses = createGuessLimit(clock);
  const cookie = createSessionCookie('assent-console', { sameSite: 'Strict', secure });

  return {
    async start(id, secret) {
      guesses.check();
      const token = await signIn(id, secret);
      if (token === undefined || !administers(await callerOf(token))) {
        guesses.failed();
        return undefined;
      }
      forgetEnded(live, clock());
      const value = randomBytes(32).toString('base64url');
      live.set(hash(value), { token, until: clock() + LIFETIME_MS });
      return cookie.holding(value, LIFETIME_MS);
    },
    async find(header) {
      const value = cookie.read(header);
      const entry = value === undefined ? undefined : live.get(hash(value));
      if (value === undefined || !entry || entry.until <= clock()) return undefined;
      try {
        return { caller: await callerOf(entry.token), formToken: formTokenOf(value) };
      } catch (error) {
        if (error instanceof AssentError && error.code === 'unauthenticated') return undefined;
        throw error;
      }
    },
    end(header) {
      const value = cookie.read(header);
      if (value !== undefined) live.delete(hash(value));
      return cookie.cleared;
    },
  };
}

function administers({ admin, roles = [] }: Caller): boolean {
  return admin || roles.length > 0;
}

function forgetEnded(live: Map<string, { until: number }>, now: number): void {
  for (const [key, { until }] of live) if (until <= now) live.delete(key);
  for (const key of live.keys()) {
    if (live.size < MOST_SESSIONS) return;
    live.delete(key);
  }
}

const hash = (text: string): string => createHash('sha256').update(text).digest('base64url');
