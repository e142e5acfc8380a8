/**
 * `Prefer: respond-async`: a reading request is accepted, runs as a job through the same handler with a Gate for the same caller, and its
 * answer waits. https://hl7.org/fhir/R5/async-bundle.html
 *
 * Invariants: only what changes nothing is put off, because a job may run twice; what was released under permissions that changed before it
 * was whole, and what was hidden meanwhile, is thrown away; a client that was removed or registered anew gets nothing done any more.
 */
import { AssentError, outcomeOf } from '../errors.ts';
import type { Gate, GateFor, Row } from '../consent/gate.ts';
import type { ResourceValue } from '../fhir/resource.ts';
import type { JobContext, JobHandler } from '../jobs/job.ts';
import type { Held } from './held.ts';
import { checkAccess } from './access.ts';
import { FHIR_JSON } from './content.ts';
import { locate } from './dispatch.ts';
import { resourceIn } from './entry-call.ts';
import { knownError } from './error-handler.ts';
import type { Answer, Body, Caller, FhirRequest, Method, Route } from './interaction.ts';
import { acceptJob, answerBundle, inputOf } from './job.ts';
import type { Services } from './services.ts';

/** What the job needs to ask again, as plain values. */
type Asked = {
  readonly caller: Caller;
  /** The registration of its client, when it was asked. */
  readonly registration: string | undefined;
  readonly method: Method;
  readonly url: string;
  readonly prefer: string;
  readonly body: { readonly kind: 'none' } | { readonly kind: 'form' | 'resource'; readonly text: string } | Extract<Body, { kind: 'graphql' }>;
};

export const INTERACTION = 'interaction';
const WISH = /(?:^|[,;])\s*respond-async\s*(?=$|[,;])/i;
/** Larger questions are answered at once: what waits is kept in the database. */
const MOST_CHARACTERS = 1_000_000;
const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-match', 'if-none-exist'];

/** Undefined: it is answered at once. A wish need not be granted (RFC 7240 §2). */
export async function putOff(request: FhirRequest, route: Route, services: Services): Promise<Answer | undefined> {
  const prefer = request.header('prefer') ?? '';
  if (!WISH.test(prefer) || !changesNothing(request, route, services) || CONDITIONS.some((name) => request.header(name) !== undefined))
    return undefined;
  const body = plainBody(request.body);
  if (!body || JSON.stringify(body).length > MOST_CHARACTERS) return undefined;
  const { caller } = request.gate;
  const asked: Asked = {
    caller,
    registration: await services.registrationOf(caller.client),
    method: route.method,
    url: request.url,
    prefer: prefer.replace(WISH, ''),
    body,
  };
  const accepted = await acceptJob(request, services, { kind: INTERACTION, input: inputOf(asked) });
  return { ...accepted, headers: { ...accepted.headers, 'preference-applied': 'respond-async' } };
}

/** GET, searches by POST, operations that GET offers as well, and a batch of nothing else. */
function changesNothing({ body }: FhirRequest, route: Route, services: Services): boolean {
  if (route.scope === 'public' || route.path.startsWith('/$job/')) return false;
  if (route.interaction === 'transaction') return body.kind === 'resource' && isReadingBatch(body.document.value, services);
  return isReading(route, services);
}

function isReading({ method, takes, interaction }: Route, { routes }: Services): boolean {
  if (method === 'GET' || takes === 'form') return true;
  return (
    interaction.startsWith('$') && routes.some((row) => row.interaction === interaction && row.method === 'GET' && row.interaction !== '$validate')
  );
}

function isReadingBatch({ type, entry }: ResourceValue, services: Services): boolean {
  if (type !== 'batch' || !Array.isArray(entry)) return false;
  return (entry as readonly { readonly request?: { readonly method?: unknown; readonly url?: unknown } }[]).every(({ request: asked }) => {
    if (asked?.method === 'GET' || asked?.method === 'HEAD') return true;
    const found = asked?.method === 'POST' && typeof asked.url === 'string' ? services.router('POST', asked.url.split('?', 1)[0] ?? '') : undefined;
    return found?.kind === 'row' && found.route.path !== '/' && isReading(found.route, services);
  });
}

function plainBody(body: Body): Asked['body'] | undefined {
  switch (body.kind) {
    case 'none':
    case 'graphql':
      return body;
    case 'form':
      return { kind: 'form', text: body.parameters.toString() };
    case 'resource':
      return { kind: 'resource', text: body.document.text };
    case 'json-patch':
      return undefined;
  }
}

const ATTEMPTS = 3;

/** It is done when its answer would have left: whoever looks after it finds out when that is. */
export function interactionJob(services: Services, { gateFor, during }: { readonly gateFor: GateFor } & Pick<Held, 'during'>): JobHandler {
  return {
    async mayRun(input) {
      const { caller, registration } = input as unknown as Asked;
      return registration !== undefined && (await services.registrationOf(caller.client)) === registration;
    },
    run: (input, context) => during(() => runInteraction(input as unknown as Asked, context, { services, gateFor })),
  };
}

type Serving = { readonly services: Services; readonly gateFor: GateFor };

async function runInteraction(asked: Asked, context: JobContext, { services, gateFor }: Serving): Promise<{ readonly standing: string }> {
  const gate = gateFor(Object.freeze(asked.caller));
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const [standing, shown] = [await gate.standing(), new Set<string>()];
    const answer = await answerTo(asked, { services, gate: whileAsked(gate, context, shown) });
    if ((await gate.standing([...shown])) !== standing) continue;
    await context.write('answer', answer);
    await context.write('shown', JSON.stringify([...shown]));
    return { standing };
  }
  throw new AssentError('unavailable');
}

/** Nothing more is read for a request that nobody waits for or nobody may make any more. `shown`: what was shown, as `Type/id`. */
function whileAsked(gate: Gate, { cancelled }: JobContext, shown: Set<string>): Gate {
  const watched = Object.entries(gate).map(([name, member]) => [
    name,
    typeof member === 'function'
      ? async (...given: readonly unknown[]) => {
          cancelled.throwIfAborted();
          const answer = await (member as (...arguments_: readonly unknown[]) => unknown)(...given);
          for (const { type, id } of rowsIn(answer)) shown.add(`${type}/${id}`);
          return answer;
        }
      : member,
  ]);
  return Object.fromEntries(watched) as Gate;
}

type Answered = Partial<Readonly<Record<'rows' | 'included' | 'followed', readonly Row[]>>> & { readonly row?: Row };

/** Whatever was asked of the Gate, what it shows of resources stands in one of these. */
function rowsIn(answer: unknown): readonly Row[] {
  const { rows = [], included = [], followed = [], row } = (typeof answer === 'object' && answer !== null ? answer : {}) as Answered;
  return [...rows, ...included, ...followed, ...(row ? [row] : [])];
}

/** The Bundle that the request ends with. A batch has one already. */
async function answerTo(asked: Asked, { services, gate }: { readonly services: Services; readonly gate: Gate }): Promise<string> {
  try {
    const { route, target, query } = locate(asked.method, asked.url, services);
    if (route.scope === 'public') throw new AssentError('not-supported');
    checkAccess(route, target.type, gate.caller, services.allows);
    const headers: Readonly<Record<string, string>> = { accept: FHIR_JSON, prefer: asked.prefer };
    const answer = await route.handler(
      { ...target, gate, query, url: asked.url, header: (name) => headers[name], body: bodyOf(asked.body) },
      services,
    );
    if (route.interaction === 'transaction' && answer.body !== undefined) return answer.body;
    const resource = resourceIn(answer);
    return answerBundle({ status: answer.status, ...(resource === undefined ? {} : { resourceText: resource }) });
  } catch (error) {
    const known = knownError(error);
    if (known.status >= 500) throw error;
    const { status, outcome } = outcomeOf(known);
    return answerBundle({ status, outcomeText: JSON.stringify(outcome) });
  }
}

function bodyOf(body: Asked['body']): Body {
  switch (body.kind) {
    case 'form':
      return { kind: 'form', parameters: new URLSearchParams(body.text) };
    case 'resource':
      return { kind: 'resource', document: { text: body.text, value: JSON.parse(body.text) as ResourceValue } };
    case 'none':
    case 'graphql':
      return body;
  }
}
