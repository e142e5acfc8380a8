/**
 * The patient's own Consents, to read, sign and withdraw: /patient/consents.
 * Invariants: all that is shown comes from the Gate made for the patient; ids travel in form bodies; a signature is asked for only beside its words.
 */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { ConsentStatement, Gate, GateFor, Row } from '../../consent/gate.ts';
import { refusalStatement, withdrawalStatement } from '../../consent/workflow.ts';
import { AssentError } from '../../errors.ts';
import type { Search } from '../../search/create-search.ts';
import { acceptForms, type Form, requireFormOf, show, showErrors } from '../forms.ts';
import { type Html, html } from '../html.ts';
import { time } from '../layout.ts';
import { type ListedKey, SCRIPT_PATH } from './passkeys.ts';
import type { PatientCookies, PatientSession } from './sessions.ts';
import { signedIn, SIGNED_FORM_BYTES, signForm, termsOf } from './sign.ts';

export type ConsentPages = {
  readonly gateFor: GateFor;
  readonly search: Pick<Search, 'plan'>;
  readonly sessions: PatientCookies;
  readonly keysOf: (owner: string) => Promise<readonly ListedKey[]>;
  /** Of our pages, as browsers see it. */
  readonly origin: string;
  readonly clock: Clock;
};

const logged = { config: { interaction: 'patient' } };
const MOST = 100;
const TITLE = 'Your consents';

export function consentPages(pages: ConsentPages): FastifyPluginAsync {
  const { gateFor, sessions, origin } = pages;
  const shown = (reply: FastifyReply, title: string, content: Html) => show(reply, title, content, { script: origin + SCRIPT_PATH });
  const opened = async ({ headers, body }: FastifyRequest) => {
    const session = await sessions.find(headers.cookie);
    requireFormOf(session, body as Form);
    return { session, gate: gateFor(session.caller), form: body as Form };
  };
  return async (app) => {
    acceptForms(app, origin, SIGNED_FORM_BYTES);
    showErrors(app, { href: '/patient/consents', text: TITLE });
    app.get('/patient/consents', logged, async (request, reply) => {
      const session = await sessions.find(request.headers.cookie);
      if (!session) return reply.redirect('/patient/sign-in?next=/patient/consents', 303);
      return shown(reply, TITLE, listPage(session, await consentsOf(pages, session)));
    });
    app.post('/patient/consents/review', logged, async (request, reply) => {
      const { session, gate, form } = await opened(request);
      return shown(reply, 'One consent', await reviewPage(pages, { session, gate, id: form.get('id') ?? '' }));
    });
    app.post('/patient/consents/sign', logged, async (request, reply) => {
      const { session, gate, form } = await opened(request);
      const { statement, signature } = signedIn(form);
      const { kind } = await gate.signConsent({ statement, signatures: [{ who: session.patient, jws: signature }] });
      return shown(
        reply,
        TITLE,
        donePage(kind === 'proposed' ? 'Signed. It is in force once the other signature is there.' : 'Signed. It is in force.'),
      );
    });
    app.post('/patient/consents/refuse', logged, async (request, reply) => {
      const { gate, form } = await opened(request);
      await gate.refuseConsent(form.get('id') ?? '', signedIn(form));
      return shown(reply, TITLE, donePage('Refused. Nothing is shown, and whoever asked is not told why.'));
    });
    app.post('/patient/consents/withdraw', logged, async (request, reply) => {
      const { gate, form } = await opened(request);
      await gate.withdrawConsent(form.get('id') ?? '', signedIn(form));
      return shown(reply, TITLE, donePage('Withdrawn. Nothing is shown by it any more.'));
    });
  };
}

async function consentsOf({ gateFor, search }: ConsentPages, { caller, patient }: PatientSession): Promise<readonly Row[]> {
  const query = `patient=${patient}&_sort=-_lastUpdated&_count=${MOST}&_total=none`;
  const { where, order, count, total } = search.plan('Consent', new URLSearchParams(query), 'strict');
  return (await gateFor(caller).search({ type: 'Consent', where, order, count, total, query: `Consent?${query}` })).rows;
}

const states: Readonly<Record<string, string>> = { proposed: 'waits for signatures', active: 'in force', inactive: 'over', rejected: 'refused' };

function listPage({ formToken, patient }: PatientSession, rows: readonly Row[]): Html {
  return html`<p>Signed in as <code>${patient}</code>. <a href="/patient/passkeys">Your passkeys</a> <a href="/patient">All your pages</a></p>
${rows.length === 0 ? html`<p role="status">There is none.</p>` : undefined}
<ol>${rows.map((row) => card(row, formToken))}</ol>`;
}

function card({ id, body, lastUpdated }: Row, formToken: string): Html {
  const { status = '', provision } = JSON.parse(body) as { readonly status?: string; readonly provision?: { readonly actor?: readonly Actor[] } };
  const who = (provision?.actor ?? []).map(({ reference }) => reference?.reference ?? reference?.display ?? 'someone unnamed').join(', ');
  return html`<li class="card">
<h3>${who === '' ? 'Everyone' : who}: ${states[status] ?? status}</h3>
<p>${time(lastUpdated)}</p>
${status === 'proposed' || status === 'active' ? reviewForm(id, formToken) : undefined}
</li>`;
}

type Actor = { readonly reference?: { readonly reference?: string; readonly display?: string } };

function reviewForm(id: string, formToken: string): Html {
  return html`<form method="post" action="/patient/consents/review">
<input type="hidden" name="id" value="${id}">
<input type="hidden" name="token" value="${formToken}">
<button class="plain">Read it</button>
</form>`;
}

type Reviewing = { readonly session: PatientSession; readonly gate: Gate; readonly id: string };

async function reviewPage({ keysOf, clock }: ConsentPages, { session, gate, id }: Reviewing): Promise<Html> {
  const known = await gate.statementOf(id);
  if (!known) throw new AssentError('not-found');
  const keys = await keysOf(session.patient);
  return html`${termsOf(known.statement)}
${answersTo(known, { session, keys, id, now: clock() })}
<p><a href="/patient/consents">${TITLE}</a></p>`;
}

type Answering = { readonly session: PatientSession; readonly keys: readonly ListedKey[]; readonly id: string; readonly now: number };

/** What the patient can do about it now. */
function answersTo({ statement, digest, state, asked }: ConsentStatement, { session, keys, id, now }: Answering): Html {
  const ended = { consent: `Consent/${id}`, digest, now };
  const ending = (action: string, button: string, text: string) =>
    signForm(session, keys, { statement: text, action: `/patient/consents/${action}`, button, fields: { id } });
  if (state === 'active') return ending('withdraw', 'Withdraw with your passkey', withdrawalStatement(ended));
  if (state !== 'proposed') return html`<p role="status">It is over.</p>`;
  const sign = signForm(session, keys, { statement, action: '/patient/consents/sign', button: 'Sign with your passkey' });
  if (!asked) return sign;
  return html`<p><code>${asked.by}</code> asks you for this, until ${time(asked.deadline)}.</p>
${sign}
${ending('refuse', 'Refuse with your passkey', refusalStatement(ended))}`;
}

function donePage(sentence: string): Html {
  return html`<p class="good" role="status">${sentence}</p>
<p><a href="/patient/consents">${TITLE}</a></p>`;
}
