/**
 * An answer that shows nothing leaves at a whole multiple of the quantum after its request came, whatever it took; any other at once. Time is the
 * test's: what waits moves it, and so does work that is planted where something is hidden. docs/adr/0061-a-miss-leaves-on-a-grid.md
 */
import { setTimeout } from 'node:timers/promises';
import fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '../../server/commands/demo/session.ts';
import { createHeld, type Waiting } from '../../server/http/held.ts';
import type { Engine } from '../../server/store/port.ts';
import { observation, put, type RealServer, register, type Registered, startRealServer } from '../support/real-server.ts';
import { fill, INSURER, padded, questions } from '../timing/questions.ts';

const QUANTUM = 10;
/** ms between what is recorded and its answer. */
const RECORDING = 1;
let t = 0;
/** As timers are: up to a millisecond late, and how late depends on when they were asked for. */
const waiting: Waiting = {
  now: () => t,
  sleep: async (ms) => void (t = Math.floor(t) + ms + 1),
  turn: async () => void (t += 0.01),
};

describe('createHeld', () => {
  async function served(quantum: number) {
    const held = createHeld(quantum, waiting);
    const app = fastify();
    held.install(app);
    let recorded = 0;
    app.get('/:work/:shows', async (request) => {
      const { work, shows } = request.params as { readonly work: string; readonly shows: string };
      t += Number(work);
      if (shows === 'nothing') held.untold();
      await held.moment();
      recorded = t;
      t += RECORDING;
      return {};
    });
    /** ms until it leaves. */
    const leaves = async (work: number, shows: 'nothing' | 'something'): Promise<{ readonly left: number; readonly recorded: number }> => {
      const came = t;
      await app.inject(`/${work}/${shows}`);
      return { left: t - came, recorded: recorded - came };
    };
    return { held, leaves };
  }

  it.each([
    [0, 5, 10],
    [2.1, 5, 10],
    [2.25, 5, 10],
    [3.25, 5, 10],
    [9.5, 10, 20],
    [10.2, 15, 20],
    [19.99, 20, 30],
    [57, 60, 70],
  ])('after work of %d ms what shows nothing is recorded at %d ms and leaves at %d', async (work, recordedAt, leftAt) => {
    const { leaves } = await served(QUANTUM);
    for (const begun of [0, 0.3, 0.77]) {
      t = 1000 + begun;
      const { recorded, left } = await leaves(work, 'nothing');
      // Never before, and by one turn of the loop after.
      expect(recorded).toBeGreaterThanOrEqual(recordedAt - 1e-9);
      expect(recorded).toBeLessThan(recordedAt + 0.02);
      expect(left).toBeGreaterThanOrEqual(leftAt - 1e-9);
      expect(left).toBeLessThan(leftAt + 0.02);
    }
  });

  it('one that shows something leaves when it is made, and so does every one without a quantum', async () => {
    const made = { recorded: 2.5, left: 2.5 + RECORDING };
    expect(await (await served(QUANTUM)).leaves(2.5, 'something')).toEqual(made);
    const unheld = await served(0);
    expect(await unheld.leaves(2.5, 'nothing')).toEqual(made);
    expect((await unheld.leaves(3.5, 'nothing')).left).toBe(3.5 + RECORDING);
  });

  it('what is begun outside of a request is nobody’s', async () => {
    const { untold, moment } = createHeld(QUANTUM, waiting);
    const begun = t;
    untold();
    await moment();
    expect(t).toBe(begun);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['resolves', () => Promise.resolve('made')],
    ['throws', () => Promise.reject(new Error('refused'))],
  ])('work of no request that %s ends at a multiple if it showed nothing, and else when it is done', async (_what, end) => {
    const { held } = await served(QUANTUM);
    const took = async (tells: boolean): Promise<number> => {
      const came = t;
      await held
        .during(async () => {
          t += 3.3;
          if (!tells) held.untold();
          return end();
        })
        .catch((error: unknown) => expect(String(error)).toContain('refused'));
      return t - came;
    };
    t = 1000;
    expect(await took(false)).toBeCloseTo(QUANTUM, 1);
    expect(await took(true)).toBeCloseTo(3.3, 5);
  });
});

/** Of work with what is hidden, which is found again in the time of an answer that is not held. */
const PLANTED = 1.5;
/** The same work by the clock that stamps what is written: enough that a slow machine does not hide it. */
const PLANTED_STAMP_MS = 60_000;

let server: RealServer;
/** By `t`, of what was committed since it was emptied: AuditEvents, and jobs that are done. */
const kept: { what: 'event' | 'job'; at: number }[] = [];

/** Asking the store about what is hidden takes longer. */
function slowWhereHidden(engine: Engine): Engine {
  const { resources, records } = engine;
  const slow =
    <Query, Answer>(ask: (query: Query) => Promise<Answer>) =>
    (query: Query): Promise<Answer> => {
      const text = JSON.stringify(query, (_member, value: unknown) => (value instanceof Set ? [...value] : value));
      if (/hidden|coupled|bigger/.test(text)) {
        t += PLANTED;
        if (isStamping) {
          advanced += PLANTED_STAMP_MS;
          server.advance(PLANTED_STAMP_MS);
        }
      }
      return ask(query);
    };
  const commit: typeof resources.commit = (writes) => {
    if (writes.resources.some(({ type }) => type === 'AuditEvent')) kept.push({ what: 'event', at: t });
    return resources.commit(writes);
  };
  const put: typeof records.put = (kind, id, value, options) => {
    if ((value as { readonly state?: unknown } | undefined)?.state === 'done') kept.push({ what: 'job', at: t });
    return records.put(kind, id, value, options);
  };
  const slowed = { find: slow(resources.find), history: slow(resources.history), count: slow(resources.count) };
  return { ...engine, records: { ...records, put }, resources: { ...resources, ...slowed, commit } };
}

let isStamping = false;
/** To be taken back: tokens are only so old. */
let advanced = 0;

/** Of whoever may choose no ids. */
function mineOf(more: Json): Json {
  const { id: _id, identifier: _identifier, ...resource } = observation('', 'Patient/permit0000', more);
  return resource;
}

describe('a server', () => {
  let insurer: Registered;
  let world: Awaited<ReturnType<typeof fill>>;
  beforeAll(async () => {
    server = await startRealServer({ ASSENT_MISS_QUANTUM_MS: String(QUANTUM) }, { through: slowWhereHidden, waiting });
    world = await fill(server, 1);
    insurer = await register(server, { actor: INSURER });
    const mine = (id: string, more: Json) => put(server, observation(id, 'Patient/permit0000', more));
    await mine('plain', {});
    for (const to of ['hidden0000', 'absent0000']) await mine(`to-${to}`, { derivedFrom: [{ reference: `Observation/${to}` }] });
  });
  afterAll(() => server.stop());

  type Asked = readonly [method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>];
  /** A body that is no text is sent as JSON. */
  const asks = async (...[method, path, body, headers]: Asked) => {
    const came = t;
    const sent = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    kept.length = 0;
    const answer = await fetch(`${server.bootstrap.fhirBaseUrl}/${path}`.replace(/\/$/, ''), {
      method,
      headers: { authorization: `Bearer ${insurer.session.token}`, 'content-type': 'application/fhir+json', ...headers },
      ...(sent === undefined ? {} : { body: sent }),
    });
    const text = await answer.text();
    return { status: answer.status, ms: t - came, came, text, headers: answer.headers };
  };
  const onTheGrid = (ms: number) => Math.round(ms * 10) / 10;

  it.each(questions.map((question) => [question.name, question] as const))('holds %s', async (_name, { sides, ask, status }) => {
    for (const side of sides) {
      const { method, path, body, headers } = ask(padded(side, 0), world);
      const answered = await asks(method, path, body, headers);
      expect([side, answered.status, onTheGrid(answered.ms)]).toEqual([side, status, QUANTUM]);
    }
  });

  const reads = questions.filter(({ name }) => /read|history|everything|graphql|search/.test(name));
  it.each(reads.map((question) => [question.name, question] as const))(
    'records %s when it tells nothing: its maker can read when that was',
    async (_name, { sides, ask }) => {
      for (const side of sides) {
        const { method, path, body, headers } = ask(padded(side, 0), world);
        const { came } = await asks(method, path, body, headers);
        expect([side, ...kept.map(({ what, at }) => [what, onTheGrid(at - came)])]).toEqual([side, ['event', QUANTUM / 2]]);
      }
    },
  );

  it('has looked for the match of a conditional update when it tells nothing', async () => {
    for (const id of ['hidden0000', 'absent0000']) {
      const { came, status } = await asks('PUT', `Observation?identifier=urn:test|${id}`, mineOf({}));
      expect([id, status, onTheGrid((kept[0]?.at ?? 0) - came)]).toEqual([id, 201, QUANTUM / 2]);
    }
  });

  it.each<[string, (id: string) => Asked]>([
    ['conditional create', (id) => ['POST', 'Observation', mineOf({}), { 'if-none-exist': `identifier=urn:test|${id}` }]],
    ['create of what refers to it', (id) => ['POST', 'Observation', mineOf({ derivedFrom: [{ reference: `Observation/${id}` }] })]],
  ])('gives what is written by a %s the time at which it came', async (_name, asked) => {
    isStamping = true;
    const stamps = [];
    for (const id of ['hidden0000', 'absent0000']) {
      const before = server.now();
      const { status, text } = await asks(...asked(id));
      expect([id, status, text]).toEqual([id, 201, expect.anything()]);
      const made = JSON.parse(text) as { readonly id: string; readonly meta: { readonly lastUpdated: string } };
      const { json } = await insurer.session.call('GET', `AuditEvent?entity=Observation/${made.id}`);
      const [event] = json['entry'] as readonly { readonly resource: { readonly recorded: string } }[];
      for (const at of [made.meta.lastUpdated, event?.resource.recorded ?? '']) stamps.push(Math.floor((Date.parse(at) - before) / PLANTED_STAMP_MS));
    }
    isStamping = false;
    expect(advanced).toBeGreaterThan(0);
    server.advance(-advanced);
    advanced = 0;
    expect(stamps).toEqual([0, 0, 0, 0]);
  });

  it.each(['hidden0000', 'absent0000'])('is done with a job about %s when it tells nothing', async (id) => {
    const { came, headers } = await asks('GET', `Observation?_id=${id}`, undefined, { prefer: 'respond-async' });
    const at = (headers.get('content-location') ?? '').slice(`${server.bootstrap.fhirBaseUrl}/`.length);
    while ((await insurer.session.call('GET', at)).status === 202) await setTimeout(2);
    expect(kept.flatMap(({ what, at }) => (what === 'job' ? [onTheGrid(at - came)] : []))).toEqual([QUANTUM]);
  });

  const bundle = (type: string, ...requests: readonly Json[]) => ({ resourceType: 'Bundle', type, entry: requests.map((request) => ({ request })) });
  it.each<[string, (id: string) => Asked]>([
    ['a batch', (id) => ['POST', '', bundle('batch', { method: 'GET', url: 'Observation/plain' }, { method: 'GET', url: `Observation/${id}` })]],
    ['a transaction', (id) => ['POST', '', bundle('transaction', { method: 'DELETE', url: `Observation/${id}` })]],
    ['a PUT', (id) => ['PUT', `Observation/${id}`, observation(id, 'Patient/permit0000'), { 'if-match': 'W/"1"' }]],
    ['a conditional update', (id) => ['PUT', `Observation?identifier=urn:test|${id}`, { ...observation(id, 'Patient/permit0000'), id: undefined }]],
    ['a conditional delete', (id) => ['DELETE', `Observation?identifier=urn:test|${id}`]],
    ['a count', (id) => ['GET', `Observation?_id=${id}&_summary=count`]],
    ['a chain', (id) => ['GET', `Observation?derived-from:Observation.identifier=urn:test|${id}&_id=nothing`]],
    ['a compartment', (id) => ['GET', `Patient/${id}/Observation`]],
    ['what a page includes', (id) => ['GET', `Observation?_id=to-${id}&_include=Observation:derived-from`]],
    ['several types', (id) => ['GET', `?_type=Observation,Condition&_id=${id}`]],
    ['$disclosures', (id) => ['GET', `Patient/${id}/$disclosures`]],
    ['a form', (id) => ['POST', 'Observation/_search', `_id=${id}`, { 'content-type': 'application/x-www-form-urlencoded' }]],
  ])('holds %s', async (_name, path) => {
    const [hidden, absent] = [await asks(...path('hidden0000')), await asks(...path('absent0000'))];
    expect([hidden.status, onTheGrid(hidden.ms)]).toEqual([absent.status, QUANTUM]);
    expect(onTheGrid(absent.ms)).toBe(QUANTUM);
  });

  it.each<[string, Asked]>([
    ['a read', ['GET', 'Observation/plain']],
    ['a search', ['GET', 'Observation?_id=plain']],
    ['a count', ['GET', 'Observation?_id=plain&_summary=count']],
    ['a history', ['GET', 'Observation/plain/_history']],
    ['$everything', ['GET', 'Patient/permit0000/$everything?_type=Patient']],
    ['the CapabilityStatement', ['GET', 'metadata']],
    ['a request out of scope', ['GET', 'Nothing/1']],
  ])('holds up nothing of %s', async (_name, asked) => {
    expect((await asks(...asked)).ms).toBe(0);
  });

  it('nor a write of whoever may choose ids', async () => {
    const came = t;
    await put(server, observation('plain', 'Patient/permit0000', { status: 'amended' }));
    expect(t - came).toBe(0);
  });

  it('tells by the work where nothing is held: this is how a difference looks', async () => {
    await server.restart(undefined, { ASSENT_MISS_QUANTUM_MS: '0' });
    const [hidden, absent] = [await asks('GET', 'Observation/hidden0000'), await asks('GET', 'Observation/absent0000')];
    expect([hidden.status, absent.status, absent.ms]).toEqual([404, 404, 0]);
    expect(hidden.ms).toBeGreaterThanOrEqual(PLANTED);
    await server.restart();
  });
});
