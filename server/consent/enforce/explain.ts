/**
 * How a search runs, for the operator: the search itself, read in the caller's view through the same functions, over a store that asks each
 * read what it did. consent.md §3 (pushdown)
 *
 * Invariants: no row, id or value leaves this file; numbers under FEW are not told apart, so that no record is felt out by asking; the asking
 * is durable in the audit trail before there is an answer.
 */
import { AssentError } from '../../errors.ts';
import type { Expression } from '../../search/expression.ts';
import { isDefined, paramNameOf } from '../../search/param-codes.ts';
import type { CountQuery, CountResult, DriverTrace, FindResult, Query, ReadTrace, ResourceStore, SeveralQuery } from '../../store/port.ts';
import { facet } from '../facets.ts';
import { holdsRole } from '../model.ts';
import type { Explained, ExplainedDriver, ExplainedRead, SearchRequest, SeveralRequest, Told } from '../gate.ts';
import { actBase, commitActs, type Disclosure, type Page, pageRestsOn, readPage, type Unread } from './disclose.ts';
import { readPageOfSeveral } from './search-several.ts';
import { inView, type View, type Views } from './view.ts';

const FEW = 50;
/** Drivers listed of one read. */
const MOST_LISTED = 20;

type Deps = Disclosure & { readonly base: string };
type Request = SearchRequest | SeveralRequest;
type Outcome = { readonly kind: 'explained'; readonly page: Page | undefined; readonly refused: string | undefined };

/** `views`: of the caller in whose view it runs. */
export async function explain(deps: Deps, { request, views }: { readonly request: Request; readonly views: Views }): Promise<Explained> {
  if (!holdsRole(deps.caller, 'operator')) throw new AssentError('forbidden', 'How a search runs is told to administrators only.');
  const watch = createWatch();
  const watched = { ...deps, resources: watchedStore(deps.resources, watch) };
  return inView<Outcome | { readonly kind: 'stale' }, Explained>(watchedViews(views, watch), {
    read: (view) => watch.timed('reads', () => readWhole(watched, request, view)),
    restsOn: ({ page }) => (page ? pageRestsOn(page, request) : []),
    async conclude({ refused }, view) {
      const recorded = await watch.timed('audit', () => record(deps, request, view));
      const consent = {
        patients: told(view.patients.length),
        scope: scopeWords(
          typesOf(request).map((type) => view.scope(type).where),
          watch.reads,
        ),
      };
      return recorded ? { consent, reads: watch.reads, ...(refused === undefined ? {} : { refused }), ms: watch.ms } : undefined;
    },
  });
}

/** What would be refused is explained as well: that is what one asks for. */
function typesOf(request: Request): readonly string[] {
  return 'parts' in request ? request.parts.map(({ type }) => type) : [request.type];
}

async function readWhole(deps: Deps, request: Request, view: View): Promise<Outcome | { readonly kind: 'stale' }> {
  try {
    const found: Page | Unread = await ('parts' in request ? readPageOfSeveral(deps, request, view) : readPage(deps, request, view));
    if (found.kind === 'stale') return found;
    return { kind: 'explained', page: found.kind === 'rows' ? found : undefined, refused: found.kind === 'budget' ? TOO_MUCH : undefined };
  } catch (error) {
    if (error instanceof AssentError && error.code === 'too-costly') return { kind: 'explained', page: undefined, refused: error.message };
    throw error;
  }
}

const TOO_MUCH = 'It would walk more rows than a search may.';

async function record(deps: Deps, { query }: Request, { epoch }: View): Promise<boolean> {
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
  const { confirmAll } = views;
  return {
    current: () => {
      watch.reads.length = 0;
      return watch.timed('consent', () => views.current());
    },
    confirm: (patients) => watch.timed('consent', () => views.confirm(patients)),
    confirmAll: confirmAll && (() => watch.timed('consent', confirmAll)),
  };
}

function watchedStore(resources: ResourceStore, { reads }: Watch): ResourceStore {
  const note = <T extends FindResult | CountResult>(result: T, { type, bodies = true }: Pick<Query, 'type' | 'bodies'>): T => {
    // Joins go by keys alone and come first; the first read of bodies is the page.
    const step = !bodies ? 'join' : reads.some(({ step: before }) => before !== 'join') ? 'include' : 'page';
    if (result.kind !== 'stale') reads.push({ step, type, outcome: result.kind === 'budget' ? 'too much' : 'read', ...readWords(result.trace) });
    return result;
  };
  const noteParts = (result: FindResult): FindResult => {
    const outcome = result.kind === 'budget' ? ('too much' as const) : ('read' as const);
    const parts = result.kind === 'stale' ? [] : (result.parts ?? []);
    for (const { type, ...trace } of parts) reads.push({ step: 'page', type, outcome, ...readWords(trace) });
    return result;
  };
  return {
    ...resources,
    // How much a view shows at all is looked at once in a while, and is no part of the search.
    findSeveral: async (query: SeveralQuery) =>
      query.total?.most === undefined ? noteParts(await resources.findSeveral({ ...query, explain: true })) : resources.findSeveral(query),
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
  const names = heads.map((head) => facets[head] ?? parameterWords(head));
  return { kind, of: kind === 'ids' ? 'id' : names.join(', ') || 'nothing' };
}

function parameterWords(head: string): string {
  const name = paramNameOf(head);
  if (name === undefined) return 'a parameter that is not known here';
  return isDefined(head) ? `${name} (a SearchParameter stored here or of a package)` : name;
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

/** Of several types what holds for the first that is walked by consent, or else for all. */
function scopeWords(scopes: readonly Expression[], reads: readonly ExplainedRead[]): Explained['consent']['scope'] {
  if (scopes.every(({ kind }) => kind === 'none')) return 'shows nothing';
  if (scopes.every(({ kind }) => kind === 'all')) return 'hides nothing';
  const pages = reads.filter(({ step }) => step === 'page');
  return pages.flatMap(({ chosen }) => chosen).some(({ of }) => of.startsWith('consent'))
    ? 'drives: what it permits is walked'
    : 'is checked on each row';
}

function told(count: number): Told {
  return count < FEW ? 'under 50' : count;
}
