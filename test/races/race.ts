/**
 * A withdrawal against everything that was under way: what is asked after its 200, and what was begun before and is asked for after it (pages,
 * results of jobs), holds nothing of the patient. consent.md §1, §3
 */
import { type Answer, enrolKey, type Key, type Session } from '../../server/commands/demo/session.ts';
import { systemClock } from '../../server/clock.ts';
import { agree, HOSPITAL, observation, organization, patient, put, settled, withdrawNow } from '../support/real-server.ts';
import { termsOf } from '../support/real-server.ts';

export const INSURER = 'Organization/insurer';
/** One server with both callers' sessions; several sides are processes on one database. */
export type Side = { readonly admin: Session; readonly insurer: Session };
type Racer = { readonly id: string; readonly mark: string; readonly key: Key };
/** `asked`: names of rivals that were asked after a withdrawal. */
export type Raced = { races: number; before: number; after: number; readonly asked: Set<string>; readonly leaks: string[] };
export const nothingRaced = (): Raced => ({ races: 0, before: 0, after: 0, asked: new Set(), leaks: [] });

export const directory = [HOSPITAL, INSURER].map(organization);

/** Asked by name, so that a leak says what let it out. */
type Way = { readonly name: string; readonly ask: (session: Session, id: string) => Promise<Answer> };
const graphql = (query: string) => `$graphql?query=${encodeURIComponent(query)}`;
const get = (name: string, path: (id: string) => string): Way => ({ name, ask: (session, id) => session.call('GET', path(id)) });

export const ways: readonly Way[] = [
  get('read', (id) => `Patient/${id}`),
  get('search', (id) => `Observation?patient=${id}`),
  get('include', (id) => `Observation?patient=${id}&_include=Observation:subject&_count=1`),
  get('revinclude', (id) => `Patient?_id=${id}&_revinclude=Observation:subject`),
  get('chain', (id) => `Observation?subject:Patient.active=true&subject:Patient._id=${id}`),
  get('count', (id) => `Observation?patient=${id}&_summary=count`),
  get('history of one', (id) => `Observation/${id}-1/_history`),
  get('history of a type', () => 'Observation/_history?_count=5'),
  get('history of the system', () => '_history?_count=5'),
  get('$everything', (id) => `Patient/${id}/$everything`),
  get('compartment', (id) => `Patient/${id}/*`),
  get('$lastn', (id) => `Observation/$lastn?patient=${id}`),
  get('$graphql', (id) =>
    graphql(`{ Patient(id: "${id}") { id identifier { value } ObservationList(_reference: subject) { id identifier { value } } } }`),
  ),
  get('several types', (id) => `?_type=Patient,Observation&_id=${id},${id}-1`),
  {
    name: 'batch',
    ask: (session, id) =>
      session.call('POST', '', {
        resourceType: 'Bundle',
        type: 'batch',
        entry: [`Patient/${id}`, `Observation/${id}-1`].map((url) => ({ request: { method: 'GET', url } })),
      }),
  },
];

const MARK = 'urn:mark';

async function makeRacer(admin: Session, id: string): Promise<Racer> {
  const mark = `mark-${id}`;
  const identifier = [{ system: MARK, value: mark }];
  await put({ admin }, { ...patient(id), identifier });
  for (const n of [1, 2, 3]) await put({ admin }, observation(`${id}-${n}`, `Patient/${id}`, { identifier }));
  return { id, mark, key: await enrolKey(admin, `Patient/${id}`) };
}

/** Begun while it was permitted, to be asked for later: a link to a next page, or a job. Undefined where nothing was begun. */
type Begun = { readonly name: string; readonly begin: (session: Session, id: string) => Promise<Way | undefined> };

const page = (name: string, path: (id: string) => string): Begun => ({
  name,
  async begin(session, id) {
    const { json } = await session.call('GET', path(id));
    const next = ((json['link'] ?? []) as { relation: string; url: string }[]).find(({ relation }) => relation === 'next')?.url;
    return next === undefined ? undefined : { name, ask: (again) => again.call('GET', here(next)) };
  },
});

const job = (name: string, path: (id: string) => string): Begun => ({
  name,
  async begin(session, id) {
    const at = (await session.call('GET', path(id), undefined, { prefer: 'respond-async' })).headers.get('content-location');
    return at === null ? undefined : { name, ask: (again) => settled(again, here(at)) };
  },
});

const beginnings: readonly Begun[] = [
  page('next page of a search', (id) => `Observation?patient=${id}&_count=1`),
  page('next page of a history', () => 'Observation/_history?_count=1'),
  page('next page of $everything', (id) => `Patient/${id}/$everything?_count=1`),
  page('next page of a compartment', (id) => `Patient/${id}/*?_count=1`),
  job('job of a search', (id) => `Observation?patient=${id}`),
  job('job of $everything', (id) => `Patient/${id}/$everything`),
];
/** All that a withdrawal is raced against. */
export const rivals: readonly (Way | Begun)[] = [...ways, ...beginnings];

/** Whichever server a link names. */
const here = (url: string): string => url.replace(/^https?:\/\/[^/]+\/fhir\//, '');

async function raceOnce(
  { here: one, there }: { readonly here: Side; readonly there: Side },
  racer: Racer,
  { custodian, raced, against }: { readonly custodian: Key; readonly raced: Raced; readonly against: readonly (Way | Begun)[] },
): Promise<void> {
  const { id, mark, key } = racer;
  const now = systemClock;
  const inForce = await agree(one, termsOf({ now }, { patient: `Patient/${id}`, grantee: INSURER }), [key, custodian]);
  const ways = against.filter((rival) => 'ask' in rival);
  const left: Way[] = [];
  for (const { begin } of against.filter((rival) => 'begin' in rival)) {
    const way = await begin(there.insurer, id);
    if (way) left.push(way);
  }
  const under = ways.map(({ ask }, i) => ask(i % 2 === 0 ? there.insurer : one.insurer, id));
  const withdrawal = await withdrawNow({ admin: one.admin, now }, inForce, key);
  if (withdrawal.status !== 200) throw new Error(`A withdrawal was answered ${withdrawal.status}: ${withdrawal.text}`);
  // From here on nothing leaves. Both servers are asked at once.
  const late = [...left, ...ways].flatMap((way) => [there, one].map(async ({ insurer }) => ({ way, answer: await way.ask(insurer, id) })));
  for (const { way, answer } of await Promise.all(late)) {
    // 503 is no answer: an overloaded database gives nothing away.
    if (answer.status === 503) continue;
    if (answer.text.includes(mark) || (way.name === 'count' && answer.json['total'] !== 0) || answer.status >= 500)
      raced.leaks.push(`${way.name}: ${answer.status} ${answer.text.slice(0, 300)}`);
    raced.after += 1;
    raced.asked.add(way.name);
  }
  for (const { text } of await Promise.all(under)) if (text.includes(mark)) raced.before += 1;
  raced.races += 1;
}

/** `until`: no race begins after it, by performance.now(). `asking`: so many rivals in each race, all of them in turn. */
export type Racing = { readonly named?: string; readonly until?: number; readonly asking?: number };

const AT_ONCE = 3;
/** Each race leaves AuditEvents of its patient, which $everything reads. */
const RACES_OF_ONE = 20;

/** `sides`: one, or two that take turns in being the one that is told. */
export async function race(sides: readonly [Side, Side], races: number, racing: Racing = {}): Promise<Raced> {
  const { named = 'racer', until = Number.POSITIVE_INFINITY, asking = rivals.length } = racing;
  const [{ admin }] = sides;
  const raced = nothingRaced();
  const custodian = await enrolKey(admin, HOSPITAL);
  const racer = async (first: number): Promise<void> => {
    let one: Racer | undefined;
    for (let n = first; n < races && raced.leaks.length === 0 && performance.now() < until; n += AT_ONCE) {
      if (!one || (n - first) % (AT_ONCE * RACES_OF_ONE) === 0) one = await makeRacer(admin, `${named}${n}`);
      const [here, there] = n % 2 === 0 ? sides : [sides[1], sides[0]];
      const against = Array.from({ length: asking }, (_, k) => rivals[(n * asking + k) % rivals.length] as Way | Begun);
      await raceOnce({ here, there }, one, { custodian, raced, against });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => racer(i)));
  return raced;
}
