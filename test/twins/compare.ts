/**
 * Two servers of one world: one with everything, one with only what reference-view.ts says its caller may see. The same requests go to both
 * and the answers are compared, byte for byte. consent.md §1
 */
import type { Json } from '../support/reference-consent.ts';
import { nameOf, type Version } from '../support/reference-view.ts';
import { KINDS } from './content.ts';
import { askedAt, divide, type Plan, planOf, START, versionOf } from './plan.ts';
import type { Ask, Request } from './requests.ts';
import { type Answered, plannedIds, type Program, PUBLIC, startTwinServer, type TwinServer } from './server.ts';
import { finished, open, put, settingsOf, type Side, type Tools } from './side.ts';
import type { World } from './world.ts';

export type Case = { readonly world: World; readonly requests: readonly Request[] };
/** `asked`: what went wrong at, and how. */
export type Difference = { readonly at: number; readonly asked: string; readonly whole: string; readonly twin: string };
export type Outcome = {
  readonly difference: Difference | undefined;
  readonly asked: number;
  readonly claims: ReadonlySet<string>;
  readonly hidden: number;
  readonly shown: number;
};

export type Bench = {
  readonly program: Program;
  /** Of a database that is not used yet; undefined: the embedded engine. */
  readonly database: () => string | undefined;
};

/** Steps of the requests: none of loading is as high. */
const ASKING = 100_000;

/** Stops at the first difference. */
export async function compare({ world, requests }: Case, { program, database }: Bench): Promise<Outcome> {
  let now = START;
  const ids = plannedIds(program);
  const started: TwinServer[] = [];
  const start = async (): Promise<TwinServer> => {
    const mongo = database();
    const server = await startTwinServer({ program, clock: () => now, settings: settingsOf(world), ...(mongo === undefined ? {} : { mongo }) });
    started.push(server);
    return server;
  };
  try {
    const tools = { ids, clock: { now: () => now, set: (to: number) => void (now = to) } };
    const plan = planOf(world);
    const whole = await open(await start(), world, { ...tools, steps: plan.all, late: plan.late });
    const { kept, shown } = divide(world, plan.all, whole.agreed);
    const twin = await open(await start(), world, { ...tools, steps: kept, late: plan.late });
    const hidden = shown.size === 0 ? plan.all.length : plan.all.filter(({ version }) => version && !shown.has(version)).length;
    const unequal = await comesToTheSame({ whole, twin, ids }, shown);
    if (unequal) return { difference: unequal, asked: 0, claims: new Set(), hidden, shown: shown.size };
    const run = await askBoth({ whole, twin, requests, world, plan, ...tools });
    return { ...run, hidden, shown: shown.size };
  } finally {
    ids.end();
    for (const server of started) await server.stop();
  }
}

/** Whether both show what the second reading says, no more and no less. */
async function comesToTheSame(
  { whole, twin, ids }: Pick<Asking, 'whole' | 'twin' | 'ids'>,
  shown: ReadonlySet<Version>,
): Promise<Difference | undefined> {
  for (const [i, type] of KINDS.entries()) {
    const request = { method: 'GET', path: `${type}?_count=1000` };
    const newest = new Map([...shown].filter((version) => version.type === type).map((version) => [nameOf(version), version.deleted]));
    const expected = [...newest].flatMap(([name, deleted]) => (deleted ? [] : [name])).sort();
    for (const side of [whole, twin]) {
      ids.at(ASKING - 1 - i);
      const { status, text } = await side.server.ask(side.token, request);
      if (status === 403) continue;
      const names: string[] = ((JSON.parse(text) as Json)['entry'] ?? []).map(({ resource }: Json) => `${type}/${resource.id}`);
      // The server writes Provenances and Tasks of its own.
      const found = names.filter((name) => side.stored.has(name)).sort();
      if (found.join() !== expected.join())
        return { at: -1, asked: `${request.path}: what is shown by the rules`, whole: found.join(' '), twin: expected.join(' ') };
    }
  }
  return undefined;
}

type Asking = Tools & {
  readonly whole: Side;
  readonly twin: Side;
  readonly requests: readonly Request[];
  readonly world: World;
  readonly plan: Plan;
};

async function askBoth({ whole, twin, requests, world, plan, ids, clock }: Asking): Promise<Pick<Outcome, 'difference' | 'asked' | 'claims'>> {
  const claims = new Set<string>();
  let asked = 0;
  let { all } = plan;
  for (const [at, request] of requests.entries()) {
    const step = ASKING + at;
    clock.set(askedAt(world) + (at + 1) * 1000);
    if ('meanwhile' in request) {
      const version = versionOf(request.meanwhile, new Map());
      const planned = { number: step, at: clock.now(), step: request.meanwhile, version };
      all = [...all, planned];
      const { kept } = divide(world, all, whole.agreed);
      for (const side of kept.includes(planned) ? [whole, twin] : [whole]) {
        ids.at(step);
        await put(side.server, request.meanwhile, new Map());
      }
      continue;
    }
    const filled = fill(request, whole);
    const answers: string[][] = [];
    for (const side of [whole, twin]) {
      ids.at(step);
      answers.push(await follow(side, filled));
    }
    asked += 1;
    for (const claim of request.claims) claims.add(claim);
    const [first = [], second = []] = answers;
    const page = first.findIndex((text, i) => text !== second[i]);
    if (page >= 0 || first.length !== second.length) {
      const where = Math.max(page, 0);
      const difference = {
        at,
        asked: `${described(filled)}${where > 0 ? ` (page ${where + 1})` : ''}`,
        whole: first[where] ?? '',
        twin: second[where] ?? '',
      };
      return { difference, asked, claims };
    }
  }
  return { difference: undefined, asked, claims };
}

function described({ method, path, body, headers }: Ask): string {
  return [method, path, headers ? JSON.stringify(headers) : '', body === undefined ? '' : JSON.stringify(body)]
    .filter((part) => part !== '')
    .join(' ');
}

/** Versions and Consents by the names that requests give them: those of the server with everything, for both. */
function fill(request: Ask, { stored, consentIds }: Side): Ask {
  const put1 = (text: string) =>
    text.replace(
      /\{([A-Za-z]+\/[\w-]+)@(\d)\}/g,
      (_, reference: string, n: string) => consentIds.get(reference) ?? stored.get(reference)?.[Number(n)] ?? 'none',
    );
  const headers = request.headers && Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, put1(value)]));
  return { ...request, path: put1(request.path), ...(headers ? { headers } : {}) };
}

/** The answer and the pages behind it, each as one text. */
async function follow({ server, token }: Side, request: Ask): Promise<string[]> {
  const texts: string[] = [];
  let answer = await server.ask(token, request);
  if (request.waits) {
    texts.push(String(answer.status));
    answer = await finished(server, token, answer);
    return [...texts, normal({ ...answer, logged: 0 })];
  }
  if (request.only === 'status') return [String(answer.status)];
  texts.push(normal(answer));
  for (let page = 0; page < (request.pages ?? 0); page++) {
    const next = /"relation":"next","url":"([^"]*)"/.exec(answer.text)?.[1];
    if (next === undefined) break;
    answer = await server.ask(token, { method: 'GET', path: next });
    texts.push(normal(answer));
  }
  return texts;
}

/** Of the connection, and of the wall clock. */
const IGNORED = new Set(['date', 'connection', 'keep-alive']);

/** Without what is drawn by chance and sealed: of a page link only its length is left, of a job and of what is to be signed that it has a name. */
export function normal({ status, headers, text, logged }: Answered): string {
  const plain = (value: string) =>
    value
      .replace(/_cursor=([\w-]+)/g, (_, cursor: string) => `_cursor=‹${cursor.length}›`)
      .replace(/"(next|previous)":"([\w-]{40,})"/g, (_, name: string, cursor: string) => `"${name}":"‹${cursor.length}›"`)
      .replace(/\$job\/[0-9a-f]{32}/g, '$job/‹job›')
      .replace(/urn:uuid:(?!00000000-)[0-9a-f-]{36}/g, '‹uuid›')
      .replace(
        /("query":")([^"]*)"/g,
        (_, name: string, query: string) =>
          `${name}${Buffer.from(query, 'base64')
            .toString('utf8')
            .replace(/_cursor=[\w-]+/g, '_cursor=‹›')}"`,
      )
      .replace(/\\"(nonce|related)\\":\\"[\w-]+\\"/g, '\\"$1\\":\\"‹›\\"')
      .replace(/("name":"digest","valueString":")[\w-]+"/g, '$1‹›"');
  const lines = headers.filter(([name]) => !IGNORED.has(name)).map(([name, value]) => `${name}: ${plain(value)}`);
  return [`${status}, ${logged} log rows`, ...lines, '', plain(text)].join('\n').replaceAll(PUBLIC, '');
}
