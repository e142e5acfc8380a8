/** What an exercise is given: the server, a type, a caller who may read and write it, and a valid resource of it. */
import { resourceTypes } from '../../../server/fhir/resource-types.ts';
import { createCheck } from '../../../server/validation/validate.ts';
import { call, type Call, type Method, type ServedApp } from '../../support/served-app.ts';
import { type Json, sampleOf } from '../../validation/samples.ts';

export type Walker = {
  readonly app: ServedApp;
  /** '' for the system. */
  readonly type: string;
  /** Without an id. */
  readonly sample: Json;
  /** Throws when the status is another. */
  ask(method: Method, url: string, expected: number, more?: Call): Promise<Answered>;
  /** A new one of the type. */
  create(): Promise<Made>;
  /** One of the type, for exercises that change nothing. */
  one(): Promise<Made>;
};

export type Answered = Awaited<ReturnType<typeof call>>;
export type Made = { readonly id: string; readonly version: string; readonly url: string; readonly answer: Answered };

/** Read by the administrator; all else an organization reads that wrote it. */
const RECORDS = new Set(['AuditEvent', 'Consent', 'Provenance', 'Task']);

export function createWalkers(app: ServedApp): ReadonlyMap<string, Walker> {
  const check = createCheck();
  const samples = new Map(resourceTypes.map((type) => [type, adapted(type, sampleOf(type, check))]));
  return new Map(['', ...resourceTypes].map((type) => [type, walkerOf(app, type, samples.get(type) ?? {})]));
}

/** What the sample would not be readable with: parts that name what is not there. */
function adapted(type: string, { id: _id, meta: _meta, ...sample }: Json): Json {
  if (type === 'Binary') delete sample['securityContext'];
  // An active one would have to be one that can be asked for.
  if (type === 'SearchParameter') sample['status'] = 'draft';
  return {
    ...sample,
    meta: { tag: [{ system: 'urn:test', code: 'sample' }] },
    ...(type === 'Provenance' ? { target: [{ reference: 'Patient/walked' }] } : {}),
  };
}

function walkerOf(app: ServedApp, type: string, sample: Json): Walker {
  const token = RECORDS.has(type) ? 'admin' : 'alice';
  const ask: Walker['ask'] = async (method, url, expected, more = {}) => {
    // Without Accept a Binary is sent as the bytes in it.
    const accept: Readonly<Record<string, string>> = type === 'Binary' ? { accept: 'application/fhir+json' } : {};
    const once = () => call(app, method, url, { token, ...more, headers: { ...accept, ...more.headers } });
    let answer = await once();
    // What is walked beside this changes who belongs to whom: the server asks to come again.
    for (let tries = 0; answer.status === 503 && tries < 5; tries++) answer = await once();
    if (answer.status !== expected) throw new Error(`${method} ${url}: ${answer.status}, not ${expected}: ${answer.text.slice(0, 300)}`);
    return answer;
  };
  const create = async (): Promise<Made> => {
    const answer = await ask('POST', type, 201, { body: sample });
    const [, url = '', id = '', version = ''] = /([^/]+\/([^/]+))\/_history\/([^/]+)$/.exec(answer.headers['location'] ?? '') ?? [];
    demand('Location names the version', version !== '' && answer.headers['etag'] === `W/"${version}"`);
    return { id, version, url, answer };
  };
  let one: Promise<Made> | undefined;
  return { app, type, sample, ask, create, one: () => (one ??= create()) };
}

export function demand(what: string, held: boolean): void {
  if (!held) throw new Error(`did not hold: ${what}`);
}
