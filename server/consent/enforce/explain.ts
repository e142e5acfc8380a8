/**
 * How a search runs, for the operator: the search itself, read in the caller's view through the same functions, over a store that asks each
 * read what it did. consent.md §3 (pushdown)
 *
 * Invariants: no row, id or value leaves this file; numbers under FEW are not told apart, so that no record is felt out by asking; the asking
 * is durable in the audit trail before there is an answer.
 */
import { AssentError } from '../../errors.ts';
import type { Expression } from '../../search/expression.ts';
import { paramNameOf } from '../../search/param-codes.ts';
import type { CountQuery, CountResult, DriverTrace, FindResult, Query, ReadTrace, ResourceStore } from '../../store/port.ts';
import { facet } from '../facets.ts';
import type { Explained, ExplainedDriver, ExplainedRead, SearchRequest, Told } from '../gate.ts';
import { actBase, commitActs, type Disclosure, type Page, pageRestsOn, readPage, type Unread } from './disclose.ts';
import { inView, type View, type Views } from './view.ts';

const FEW = 50;
/** Drivers listed of one read. */
const MOST_LISTED = 20;

type Deps = Disclosure & { readonly base: string };
type Outcome = { readonly kind: 'explained'; readonly page: Page | undefined; readonly refused: string | undefined };

/** `views`: of the caller in whose view it runs. */
export async function explain(deps: Deps, { request, views }: { readonly request: SearchRequest; readonly views: Views }): Promise<Explained> {
  if (!deps.caller.admin) throw new AssentError('forbidden', 'How a search runs is told to administrators only.');
  const watch = createWatch();
  const watched = { ...deps, resources: watchedStore(deps.resources, watch) };
  return inView<Outcome | { readonly kind: 'stale' }, Explained>(watchedViews(views, watch), {
    read: (view) => watch.timed('reads', () => readWhole(watched, request, view)),
    restsOn: ({ page }, view) => (page ? pageRestsOn(page, view, request) : []),
    async conclude({ refused }, view) {
      const recorded = await watch.timed('audit', () => record(deps, request, view));
      const consent = { patients: told(view.patients.length), scope: scopeWords(view.scope(request.type).where, watch.reads) };
      return recorded ? { consent, reads: watch.reads, ...(refused === undefined ? {} : { refused }), ms: watch.ms } : undefined;
    },
  });
}

/** What would be refused is explained as well: that is what one asks for. */
async function readWhole(deps: Deps, request: SearchRequest, view: View): Promise<Outcome | { readonly kind: 'stale' }> {
  try {
    const found: Page | Unread = await readPage(deps, request, view);
    if (found.kind === 'stale') return found;
    return { kind: 'explained', page: found.kind === 'rows' ? found : undefined, refused: found.kind === 'budget' ? TOO_MUCH : undefined };
  } catch (error) {
    if (error instanceof AssentError && error.code === 'too-costly') return { kind: 'explained', page: undefined, refused: error.message };
    throw error;
  }
}

const TOO_MUCH = 'It would walk more rows than a search may.';

async function record(deps: Deps, { query }: SearchRequest, { epoch }: View): Promise<boolean> {
  const act = { ...actBase(deps.caller, 'operation'), patient: undefined, what: [], basis: [], query };
  return (await commitActs(deps, [{ act, own: true }], [{ kind: 'epoch', epoch }])) !== undefined;
}

type Watch = {
  readonly reads: ExplainedRead[];
  readonly ms: { consent: number; reads: number; audit: number };
  timed<T>(step: 'consent' | 'reads' | 'audit', work: () => Promise<T>): Promise<T>;
};

function createWatch(): Watch {
  const ms = { consent: 0, reads: 0, audit: 0 };
  return {
    reads: [],
    ms,
    async timed(step, work) {
      const began = performance.now();
      try {
        return await work();
      } finally {
        ms[step] += performance.now() - began;
      }
    },
  };
}

/** A new view begins it anew. */
function watchedViews(views: Views, watch: Watch): Views {
  return {
    current: () => {
      watch.reads.length = 0;
      return watch.timed('consent', () => views.current());
    },
    confirm: (patients) => watch.timed('consent', () => views.confirm(patients)),
  };
}

function watchedStore(resources: ResourceStore, { reads }: Watch): ResourceStore {
  const note = <T extends FindResult | CountResult>(result: T, { type, bodies = true }: Pick<Query, 'type' | 'bodies'>): T => {
    // Joins go by keys alone and come first; the first read of bodies is the page.
    const step = !bodies ? 'join' : reads.some(({ step: before }) => before !== 'join') ? 'include' : 'page';
    if (result.kind !== 'stale') reads.push({ step, type, outcome: result.kind === 'budget' ? 'too much' : 'read', ...readWords(result.trace) });
    return result;
  };
  return {
    ...resources,
    find: async (query: Query) => note(await resources.find({ ...query, explain: true }), query),
    count: async (query: CountQuery, cap?: number) => note(await resources.count({ ...query, explain: true }, cap), { type: query.type }),
  };
}

type Ran = Omit<ExplainedRead, 'step' | 'type' | 'outcome'>;

const BY_ID: Ran = {
  considered: [],
  chosen: [{ of: 'id', kind: 'ids' }],
  why: 'One id is looked up.',
  ways: ['looked up'],
  walked: 'under 50',
  checked: 'under 50',
  matched: 'under 50',
  budget: 1,
  thread: 'where requests are answered',
  ms: { plan: 0, walk: 0, load: 0 },
};

function readWords(trace: ReadTrace | undefined): Ran {
  if (!trace) return BY_ID;
  const { ways, budget, thread, ms, considered } = trace;
  return {
    considered: listed(considered.map((driver) => ({ ...driverWords(driver), size: sizeWords(driver.size, driver.cap) }))),
    chosen: listed(trace.chosen.map(driverWords)),
    why: why(trace),
    ways,
    walked: told(trace.walked),
    checked: told(trace.checked),
    matched: told(trace.matched),
    budget,
    thread,
    ms,
  };
}

function listed(drivers: readonly ExplainedDriver[]): ExplainedDriver[] {
  return drivers.slice(0, MOST_LISTED);
}

const facets: Readonly<Record<string, string>> = {
  [facet.patient('')]: 'consent: permitted patients',
  [facet.writer('')]: 'consent: who wrote it',
  [facet.own('')]: 'consent: own acts',
};

function driverWords({ kind, heads }: DriverTrace): ExplainedDriver {
  const names = heads.map((head) => facets[head] ?? paramNameOf(head) ?? 'a parameter that is not of R4');
  return { kind, of: kind === 'ids' ? 'id' : names.join(', ') || 'nothing' };
}

/** Counting may stop at the size of the best that was known by then. */
function sizeWords(size: number, cap: number): string {
  if (size >= cap) return cap < FEW ? 'more than the best known' : `${cap} or more`;
  return String(told(size));
}

function why({ considered, chosen }: ReadTrace): string {
  if (chosen.length === 0) return considered.length === 0 ? 'Nothing in it can drive.' : 'Whatever could drive is large: the order is walked.';
  if (considered.length === 0) return 'Nothing else can drive: no size had to be counted.';
  return considered.length === 1 ? 'Nothing else can drive.' : 'It has the fewest entries, as far as they were counted.';
}

function scopeWords(scope: Expression, reads: readonly ExplainedRead[]): Explained['consent']['scope'] {
  if (scope.kind === 'none') return 'shows nothing';
  if (scope.kind === 'all') return 'hides nothing';
  const page = reads.find(({ step }) => step === 'page');
  return page?.chosen.some(({ of }) => of.startsWith('consent')) ? 'drives: what it permits is walked' : 'is checked on each row';
}

function told(count: number): Told {
  return count < FEW ? 'under 50' : count;
}
