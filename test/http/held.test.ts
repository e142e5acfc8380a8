/**
 * An answer that shows nothing leaves at a whole multiple of the quantum after its request came, whatever it took; any other at once. Time is the
 * test's: what waits moves it, and so does work that is planted where something is hidden. docs/adr/0061-a-miss-leaves-on-a-grid.md
 */
import fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '../../server/commands/demo/session.ts';
import { createHeld, type Waiting } from '../../server/http/held.ts';
import type { Engine } from '../../server/store/port.ts';
import { observation, put, type RealServer, register, type Registered, startRealServer } from '../support/real-server.ts';
import { fill, INSURER, padded, questions } from '../timing/questions.ts';

const QUANTUM = 10;
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
    app.get('/:work/:shows', async (request) => {
      const { work, shows } = request.params as { readonly work: string; readonly shows: string };
      t += Number(work);
      if (shows === 'nothing') held.untold();
      return {};
    });
    /** ms until it leaves. */
    const leaves = async (work: number, shows: 'nothing' | 'something') => {
      const came = t;
      await app.inject(`/${work}/${shows}`);
      return t - came;
    };
    return { app, leaves };
  }

  it.each([
    [0, 10],
    [2.1, 10],
    [2.25, 10],
    [3.25, 10],
    [9.5, 10],
    [10.2, 20],
    [19.99, 20],
    [57, 60],
  ])('after work of %d ms an answer that shows nothing leaves at %d ms', async (work, at) => {
    const { leaves } = await served(QUANTUM);
    for (const begun of [0, 0.3, 0.77]) {
      t = 1000 + begun;
      const left = await leaves(work, 'nothing');
      // Never before, and by one turn of the loop after.
      expect(left).toBeGreaterThanOrEqual(at - 1e-9);
      expect(left).toBeLessThan(at + 0.02);
    }
  });

  it('one that shows something leaves when it is made, and so does every one without a quantum', async () => {
    expect(await (await served(QUANTUM)).leaves(2.5, 'something')).toBe(2.5);
    const unheld = await served(0);
    expect(await unheld.leaves(2.5, 'nothing')).toBe(2.5);
    expect(await unheld.leaves(3.5, 'nothing')).toBe(3.5);
  });

  it('what is begun outside of a request is nobody’s', () => {
    expect(() => createHeld(QUANTUM, waiting).untold()).not.toThrow();
  });
});

/** Of work with what is hidden, which is found again in the time of an answer that is not held. */
const PLANTED = 1.5;

/** Asking the store about what is hidden takes longer. */
function slowWhereHidden(engine: Engine): Engine {
  const { resources } = engine;
  const slow =
    <Query, Answer>(ask: (query: Query) => Promise<Answer>) =>
    (query: Query): Promise<Answer> => {
      const text = JSON.stringify(query, (_member, value: unknown) => (value instanceof Set ? [...value] : value));
      if (/hidden|coupled|bigger/.test(text)) t += PLANTED;
      return ask(query);
    };
  return { ...engine, resources: { ...resources, find: slow(resources.find), history: slow(resources.history), count: slow(resources.count) } };
}

describe('a server', () => {
  let server: RealServer;
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
    const answer = await fetch(`${server.bootstrap.fhirBaseUrl}/${path}`.replace(/\/$/, ''), {
      method,
      headers: { authorization: `Bearer ${insurer.session.token}`, 'content-type': 'application/fhir+json', ...headers },
      ...(sent === undefined ? {} : { body: sent }),
    });
    await answer.arrayBuffer();
    return { status: answer.status, ms: t - came };
  };
  const onTheGrid = (ms: number) => Math.round(ms * 10) / 10;

  it.each(questions.map((question) => [question.name, question] as const))('holds %s', async (_name, { sides, ask, status }) => {
    for (const side of sides) {
      const { method, path, body, headers } = ask(padded(side, 0), world);
      const answered = await asks(method, path, body, headers);
      expect([side, answered.status, onTheGrid(answered.ms)]).toEqual([side, status, QUANTUM]);
    }
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
