/**
 * The patient's own Consents, to read, sign, refuse and withdraw: /patient/consents.
 * Invariants: all that is shown comes from the Gate made for the patient; ids travel in form bodies; a signature is asked for only beside its words.
 */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { Gate, GateFor, Row } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { acceptForms, type Form, requireFormOf } from '../forms.ts';
import { type Html, html } from '../html.ts';
import { consentPage, LONGEST_REASON, narrowedPage } from './consent.ts';
import { moment } from './dates.ts';
import { showErrorsTo } from './errors.ts';
import { type Reader, readerOf, showTo } from './frame.ts';
import { askedOf, isWaiting } from './inbox.ts';
import { namesOf, type Naming } from './names.ts';
import { narrowingIn } from './narrow.ts';
import { type ListedKey, SCRIPT_PATH } from './passkeys.ts';
import type { PatientCookies } from './sessions.ts';
import { signedIn, SIGNED_FORM_BYTES } from './sign.ts';
import { type ConsentTerms, type Names, partiesOf, readersOf, termsList } from './terms.ts';

export type ConsentPages = Naming & {
  readonly gateFor: GateFor;
  readonly sessions: PatientCookies;
  readonly keysOf: (owner: string) => Promise<readonly ListedKey[]>;
  /** Of our pages, as browsers see it. */
  readonly origin: string;
  readonly clock: Clock;
};

const logged = { config: { interaction: 'patient' } };
const MOST = 100;
const PAGE = '/patient/consents';

type Opened = { readonly reader: Reader; readonly gate: Gate; readonly form: Form };

export function consentPages(pages: ConsentPages): FastifyPluginAsync {
  const { gateFor, sessions, origin } = pages;
  const opened = async (request: FastifyRequest): Promise<Opened> => {
    const [session, form] = [await sessions.find(request.headers.cookie), request.body as Form];
    requireFormOf(session, form);
    return { reader: readerOf(session, request), gate: gateFor(session.caller), form };
  };
  return async (app) => {
    acceptForms(app, origin, SIGNED_FORM_BYTES);
    showErrorsTo(app, { href: PAGE, text: ({ pages: { [PAGE]: page } }) => page.title });
    app.get(PAGE, logged, async (request, reply) => {
      const session = await sessions.find(request.headers.cookie);
      if (!session) return reply.redirect(`/patient/sign-in?next=${PAGE}`, 303);
      return showList(pages, readerOf(session, request), reply);
    });
    const scripted = { script: origin + SCRIPT_PATH, here: PAGE };
    app.post(`${PAGE}/review`, logged, async (request, reply) => {
      const found = await opened(request);
      return showTo(found.reader, reply, { ...(await consentPage(pages, found.reader, await oneOf(found))), ...scripted });
    });
    app.post(`${PAGE}/narrow`, logged, async (request, reply) => {
      const found = await opened(request);
      const { reader, gate, form } = found;
      const { id, known } = await oneOf(found);
      const less = narrowingIn(form, askedOf(id, known).terms);
      const { statement, digest } = await gate.narrowRequest(id, { ...less, language: reader.language });
      const content = await narrowedPage(pages, reader, { id, gate, known: { ...known, statement, digest } });
      return showTo(reader, reply, { title: reader.words.narrow.narrower, content, ...scripted });
    });
    const answers = (act: string, answer: (opened: Opened) => Promise<keyof Reader['words']['consents']['done']>) =>
      app.post(`${PAGE}/${act}`, logged, async (request, reply) => {
        const found = await opened(request);
        return showDone(found.reader, reply, await answer(found));
      });
    answers('sign', async ({ reader, gate, form }) => {
      const { statement, signature } = signedIn(form);
      const { kind } = await gate.signConsent({ statement, signatures: [{ who: reader.session.patient, jws: signature }] });
      return kind === 'proposed' ? 'proposed' : 'active';
    });
    answers('refuse', async ({ gate, form }) => {
      await gate.refuseConsent(form.get('id') ?? '', signedIn(form), reasonIn(form));
      return 'refused';
    });
    answers('withdraw', async ({ gate, form }) => {
      await gate.withdrawConsent(form.get('id') ?? '', signedIn(form));
      return 'withdrawn';
    });
  };
}

/** The one that a form names. Throws AssentError('not-found'). */
async function oneOf({ gate, form }: Opened) {
  const id = form.get('id') ?? '';
  const known = await gate.statementOf(id);
  if (!known) throw new AssentError('not-found');
  return { id, known, gate };
}

/** As one line. */
function reasonIn(form: Form): string | undefined {
  const line = (form.get('reason') ?? '')
    .replaceAll(/\s|\p{Cc}/gu, ' ')
    .trim()
    .slice(0, LONGEST_REASON);
  return line === '' ? undefined : line;
}

function showDone(reader: Reader, reply: FastifyReply, done: keyof Reader['words']['consents']['done']): FastifyReply {
  const { consents, pages } = reader.words;
  const content = html`<p class="good" role="status">${consents.done[done]}</p>
<p class="way"><a href="${PAGE}">${pages[PAGE].title}</a></p>`;
  return showTo(reader, reply, { title: consents.one, content, here: PAGE });
}

async function showList(pages: ConsentPages, reader: Reader, reply: FastifyReply): Promise<FastifyReply> {
  const { gateFor, search, clock } = pages;
  const { caller, patient } = reader.session;
  const gate = gateFor(caller);
  const query = `patient=${patient}&_sort=-_lastUpdated&_count=${MOST}&_total=none`;
  const { where, order, count, total } = search.plan('Consent', new URLSearchParams(query), 'strict');
  const { rows } = await gate.search({ type: 'Consent', where, order, count, total, query: `Consent?${query}` });
  const parties = new Set(rows.flatMap((row) => partiesOf(consentIn(row))));
  const listed = await Promise.all(rows.map(async (row) => ({ row, state: await stateOf(gate, row, clock()) })));
  const content = listPage(reader, listed, await namesOf(gate, pages, [...parties]));
  return showTo(reader, reply, { title: reader.words.pages[PAGE].title, content });
}

type Stored = ConsentTerms & { readonly status?: string };
/** `state`: the status of the Consent; `waits` where the patient has not answered yet. */
type Listed = { readonly row: Row; readonly state: string };

const consentIn = ({ body }: Row): Stored => JSON.parse(body) as Stored;

const isOpen = ({ state }: Listed): boolean => ['waits', 'proposed', 'active'].includes(state);

async function stateOf(gate: Gate, row: Row, now: number): Promise<string> {
  const { status = '' } = consentIn(row);
  const known = status === 'proposed' ? await gate.statementOf(row.id) : undefined;
  if (!known || known.signed) return status;
  return isWaiting(known, { until: askedOf(row.id, known).until, now }) ? 'waits' : 'inactive';
}

function listPage(reader: Reader, listed: readonly Listed[], names: Names): Html {
  const { words } = reader;
  const [open, past] = [listed.filter(isOpen), listed.filter((each) => !isOpen(each))];
  const cards = (of: readonly Listed[]) => html`<ol>${of.map((each) => card(reader, each, names))}</ol>`;
  return html`${open.length === 0 ? html`<p role="status">${words.consents.none}</p>` : cards(open)}
${past.length === 0 ? undefined : html`<details><summary>${words.consents.past} ${past.length}</summary>${cards(past)}</details>`}`;
}

function card(reader: Reader, listed: Listed, names: Names): Html {
  const { row, state } = listed;
  const { words, session } = reader;
  const { consents } = words;
  const consent = consentIn(row);
  const told = html`<span class="${state === 'active' ? 'good' : 'soft'}">${consents.states[state] ?? state}</span>`;
  const more = html`<dt>${consents.since}</dt><dd>${moment(row.lastUpdated, reader.language)}</dd>`;
  return html`<li class="card${state === 'waits' ? ' waits' : ''}"><h2>${readersOf(reader, consent, names)} ${told}</h2>
${termsList(reader, consent, { names, more })}
${
  isOpen(listed)
    ? html`<form method="post" action="${PAGE}/review">
<input type="hidden" name="id" value="${row.id}">
<input type="hidden" name="token" value="${session.formToken}">
<button class="plain">${state === 'waits' ? consents.read : consents.open}</button>
</form>`
    : undefined
}
</li>`;
}
