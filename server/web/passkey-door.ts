/**
 * The doors by which people come in with a passkey: it is made with a one-time code, and signs in. What the pages' script asks for, as JSON.
 *
 * Invariants: whoever guesses codes or passkeys is slowed down, at each door by itself; whoever came in goes on to a page of this server.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { AssentError } from '../errors.ts';
import type { Form } from './forms.ts';
import type { GuessLimit } from './guess-limit.ts';

/** A code has 60 bits: this many guesses a minute find none, and lock nobody out for long. */
export const MOST_GUESSES = 60;

export type Door = {
  readonly path: '/patient' | '/staff';
  readonly passkeys: { creation(code: string): Promise<object>; request(): object };
  /** With what the authenticator made: resolves with what the script is told. */
  enrol(code: string, answer: unknown): Promise<object>;
  /** Resolves with the Set-Cookie header. */
  signIn(answer: unknown): Promise<string>;
  readonly guarded: GuessLimit['around'];
  /** All that the request log says of it. */
  readonly logged: { readonly config: { readonly interaction: string } };
  /** Of our pages, as browsers see it. */
  readonly origin: string;
  /** Where to go on, unless the page says. */
  readonly home: string;
};

export function openDoor(app: FastifyInstance, { path, passkeys, enrol, signIn, guarded, logged, origin, home }: Door): void {
  app.post<{ Body: Form }>(`${path}/enrol/options`, logged, async ({ body }, reply) =>
    told(reply, await guarded(() => passkeys.creation(body.get('code') ?? ''))),
  );
  app.post<{ Body: Form }>(`${path}/enrol`, logged, async ({ body }, reply) =>
    told(reply, await guarded(() => enrol(body.get('code') ?? '', answerIn(body)))),
  );
  app.post(`${path}/sign-in/options`, logged, async (_request, reply) => told(reply, passkeys.request()));
  app.post<{ Body: Form }>(`${path}/sign-in`, logged, async ({ body }, reply) => {
    const cookie = await guarded(() => signIn(answerIn(body)));
    return told(reply.header('set-cookie', cookie), { location: ownPath(body.get('next'), origin) ?? home });
  });
}

export function told(reply: FastifyReply, body: object): FastifyReply {
  return reply.header('cache-control', 'no-store').type('application/json').send(JSON.stringify(body));
}

/** The authenticator's answer, as JSON. Throws AssentError('invalid-request'). */
export function answerIn(form: Form): unknown {
  try {
    return JSON.parse(form.get('answer') ?? '');
  } catch {
    throw new AssentError('invalid-request', 'The answer of the authenticator is not JSON.');
  }
}

/** A path on this server; anything else leads nowhere, so that nobody is sent away from here by a link they trust. */
export function ownPath(path: unknown, origin: string): string | undefined {
  if (typeof path !== 'string' || !/^\/[A-Za-z0-9]/.test(path)) return undefined;
  return URL.parse(path, origin)?.origin === origin ? path : undefined;
}
