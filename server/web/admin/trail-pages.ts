/**
 * The auditor's pages: the trail as asked for, the proof of one act, and both as files that are checked offline.
 * Invariant: what is told comes from the Gate made for the signed-in caller, which records the telling; no file holds words of who acted.
 */
import type { FastifyReply } from 'fastify';
import type { DisclosuresResult, SearchRequest, SortPosition } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { html } from '../html.ts';
import type { Form } from '../forms.ts';
import type { WebDependencies } from '../plugin.ts';
import { type ConsolePage, type Opened, sendFile, showTo } from './frame.ts';
import { noFields, proofPage, type TrailFields, trailForm, trailPage } from './trail.ts';

/** null: whatever it is. `from`, `to`: instants, both included. */
type Asked = Readonly<Record<keyof TrailFields, string | null>>;

/** What the anchoring room makes: the file of a trail, signed with the log's key. Texts newest first. */
export type TrailFile = (input: {
  readonly asked: Asked & { readonly by: string; readonly at: string };
  readonly events: readonly string[];
  readonly statements: readonly string[];
}) => Promise<string>;

const TITLE = 'Audit trail';
const PAGE_SIZE = 50;
const FILE_PAGE = 500;
/** With all texts within texts still a file that the verifier reads. */
const MOST_PAGES = 16;

export function trailPages(page: ConsolePage, dependencies: WebDependencies): void {
  page('GET /console/trail', async ({ session, reply }) => showTo(session, reply, { title: TITLE, content: trailForm(session) }));
  page('POST /console/trail', (opened) => withAsked(opened, (asked) => showTrail(dependencies, opened, asked)));
  page('POST /console/trail/file', (opened) => withAsked(opened, ({ asked }) => saveTrail(dependencies, opened, asked)));
  page('POST /console/proof', async (opened) => {
    const { patient, event, found } = await proofOf(dependencies, opened);
    if (!found) return pending(opened);
    const [entry] = found.entries;
    if (!entry) throw new AssentError('not-found');
    const content = proofPage(opened.session, { patient, event, entry, size: found.size });
    return showTo(opened.session, opened.reply, { title: 'Proof of an act', content });
  });
  page('POST /console/proof/file', async (opened) => {
    const { found } = await proofOf(dependencies, opened);
    return found ? sendFile(opened.reply, 'proof.json', found.statement) : pending(opened);
  });
}

const WHAT = /^[A-Z][A-Za-z]{1,63}\/[A-Za-z0-9.-]{1,64}$/;
const DAY = /^\d{4}-\d\d-\d\d$/;
type Field = { readonly is: RegExp; readonly type?: string; readonly say: string };

const fieldRules: Readonly<Record<keyof TrailFields, Field>> = {
  patient: {
    is: /^Patient\/[A-Za-z0-9.-]{1,64}$/,
    type: 'Patient/',
    say: 'a patient as its id: letters, digits, dots and dashes, as in Patient/123',
  },
  actor: { is: WHAT, say: 'who acted as a type and id, as in Organization/123' },
  purpose: { is: /^[A-Za-z0-9_-]{1,32}$/, say: 'a purpose as its code, as in TREAT' },
  consent: { is: /^Consent\/[A-Za-z0-9.-]{1,64}$/, type: 'Consent/', say: 'a Consent as its id, as in Consent/123' },
  from: { is: DAY, say: 'a day as in 2026-01-31' },
  to: { is: DAY, say: 'a day as in 2026-01-31' },
};

type Read = { readonly fields: TrailFields; readonly asked: Asked; readonly problem: string | undefined };

/** With what was asked for, or back to the form with what to write. */
async function withAsked(opened: Opened, run: (read: Read) => Promise<FastifyReply>): Promise<FastifyReply> {
  const { session, form, reply } = opened;
  const read = readFields(form);
  if (read.problem === undefined) return run(read);
  return showTo(session, reply.code(422), { title: TITLE, content: trailForm(session, read.fields, read.problem) });
}

function readFields(form: Form): Read {
  const names = Object.keys(noFields) as (keyof TrailFields)[];
  const typed = names.map((name) => {
    const text = (form.get(name) ?? '').trim().slice(0, 130);
    const { type = '' } = fieldRules[name];
    return [name, text === '' || text.startsWith(type) ? text : type + text] as const;
  });
  const fields = Object.fromEntries(typed) as TrailFields;
  const wrong = typed.find(([name, text]) => text !== '' && !(fieldRules[name].is.test(text) && isDay(name, text)));
  const problem = wrong ? `Write ${fieldRules[wrong[0]].say}.` : typed.every(([, text]) => text === '') ? 'Write what to look for.' : undefined;
  const days = { from: 'T00:00:00.000Z', to: 'T23:59:59.999Z' };
  const asked = Object.fromEntries(typed.map(([name, text]) => [name, text === '' ? null : text + (name in days ? days[name as 'from'] : '')]));
  return { fields, asked: asked as Asked, problem };
}

function isDay(name: string, text: string): boolean {
  return (name !== 'from' && name !== 'to') || new Date(`${text}T00:00:00Z`).toString() !== 'Invalid Date';
}

function searchFor({ search }: WebDependencies, asked: Asked, count: number): Omit<SearchRequest, 'after'> {
  const { patient, actor, purpose, consent, from, to } = asked;
  const criteria = { patient, agent: actor, purpose, entity: consent };
  const named = Object.entries(criteria).flatMap(([name, value]) => (value === null ? [] : [`${name}=${value}`]));
  const dates = [...(from === null ? [] : [`date=ge${from}`]), ...(to === null ? [] : [`date=le${to}`])];
  // To count what everybody did is too much work for a page.
  const paging = `_sort=-date&_count=${count}&_total=${patient === null ? 'none' : 'accurate'}`;
  const query = [...named, ...dates, paging].join('&');
  const plan = search.plan('AuditEvent', new URLSearchParams(query), 'strict');
  return { type: 'AuditEvent', where: plan.where, order: plan.order, count, total: plan.total, query: `AuditEvent?${query}` };
}

async function showTrail(dependencies: WebDependencies, { session, form, reply }: Opened, { fields, asked }: Read): Promise<FastifyReply> {
  const { gateFor, cursors, isErased } = dependencies;
  const { client, actor, purpose } = session.caller;
  const bound = JSON.stringify(['console', client, actor, purpose, asked]);
  const cursor = form.get('page');
  const after = cursor === null ? {} : { after: cursors.open(cursor, bound) as SortPosition };
  const { rows, next, total } = await gateFor(session.caller).search({ ...searchFor(dependencies, asked, PAGE_SIZE), ...after });
  const content = trailPage(session, { fields, rows, total, next: next && cursors.seal(next, bound), isErased });
  return showTo(session, reply, { title: TITLE, content });
}

type Told = { readonly events: readonly string[]; readonly statements: readonly string[] };

async function saveTrail(dependencies: WebDependencies, opened: Opened, asked: Asked): Promise<FastifyReply> {
  const { session, reply } = opened;
  const told = asked.patient === null ? await found(dependencies, opened, asked) : await chainOf(dependencies, opened, asked.patient);
  if (!told) return pending(opened);
  const at = new Date(dependencies.clock()).toISOString();
  return sendFile(reply, 'trail.json', await dependencies.trailFile({ asked: { by: session.caller.client, at, ...asked }, ...told }));
}

async function found(dependencies: WebDependencies, { session }: Opened, asked: Asked): Promise<Told> {
  const gate = dependencies.gateFor(session.caller);
  const request = { ...searchFor(dependencies, asked, FILE_PAGE), total: false };
  const events: string[] = [];
  for (let after: SortPosition | undefined, pages = 0; ; pages++) {
    if (pages === MOST_PAGES) throw tooMuch();
    const { rows, next } = await gate.search({ ...request, ...(after ? { after } : {}) });
    events.push(...rows.map(({ body }) => body));
    if (!next) return { events, statements: [] };
    after = next;
  }
}

/** Undefined: nothing is under a signed checkpoint yet. */
async function chainOf({ gateFor }: WebDependencies, { session }: Opened, patient: string): Promise<Told | undefined> {
  const gate = gateFor(session.caller);
  const [events, statements]: [string[], string[]] = [[], []];
  for (let from: number | undefined, pages = 0; ; pages++) {
    if (pages === MOST_PAGES) throw tooMuch();
    const page = await gate.disclosures({ id: patient.slice('Patient/'.length), count: FILE_PAGE, from, wordless: true });
    if (page.kind !== 'found') return undefined;
    events.push(...page.entries.flatMap(({ event }) => event ?? []));
    statements.push(page.statement);
    if (page.next === undefined) return { events, statements };
    from = page.next;
  }
}

const tooMuch = () =>
  new AssentError('too-costly', `A file holds at most ${FILE_PAGE * MOST_PAGES} acts: narrow it by time, or page through $disclosures.`);

type ProofAsked = { readonly patient: string; readonly event: string; readonly found: (DisclosuresResult & { readonly kind: 'found' }) | undefined };

async function proofOf({ gateFor }: WebDependencies, { session, form }: Opened): Promise<ProofAsked> {
  const [patient, event] = [form.get('patient') ?? '', form.get('event') ?? ''];
  if (!fieldRules.patient.is.test(patient) || !/^[A-Za-z0-9.-]{1,64}$/.test(event)) throw new AssentError('not-found');
  const asked = { id: patient.slice('Patient/'.length), event, count: 1, wordless: true };
  const found = await gateFor(session.caller).disclosures(asked);
  if (found.kind === 'absent') throw new AssentError('not-found');
  return { patient, event, found: found.kind === 'found' ? found : undefined };
}

function pending({ session, reply }: Opened): FastifyReply {
  const content = html`<p role="status">It is not under a signed checkpoint yet. Checkpoints come every second or so: try again.</p>`;
  return showTo(session, reply.code(202).header('retry-after', '1'), { title: TITLE, content });
}
