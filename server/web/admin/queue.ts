/**
 * What waits for the custodian's signature, what it says, and the ways to sign or refuse: a passkey, a key file, or a signature made elsewhere.
 * consent.md §5
 * Invariant: the words shown are those of the statement that is signed, or the page is not shown.
 */
import { createHash } from 'node:crypto';
import { refusalStatement } from '../../consent/workflow.ts';
import { AssentError } from '../../errors.ts';
import { type Html, html } from '../html.ts';
import { time } from '../layout.ts';
import { type ListedKey, passkeyProblem, SCRIPT_PATH } from '../patient/passkeys.ts';
import { termsOf } from '../patient/sign.ts';
import { type ConsentTerms, type Names, partiesOf } from '../patient/terms.ts';
import { patientWords } from '../patient/words.ts';
import type { Session } from './sessions.ts';

export const KEY_SCRIPT_PATH = '/assets/key-file.js';

/** One request, as its Task for the custodian tells it. `consent`: logical id; `until`: ms since 1970. */
export type Waiting = {
  readonly task: string;
  readonly consent: string;
  readonly patient: string;
  readonly requester: string;
  readonly until: number;
  readonly statement: string;
  readonly digest: string;
};

type Task = {
  readonly id?: string;
  readonly focus?: { readonly reference?: string };
  readonly for?: { readonly reference?: string };
  readonly requester?: { readonly reference?: string };
  readonly restriction?: { readonly period?: { readonly end?: string } };
  readonly input?: readonly { readonly type?: { readonly text?: string }; readonly valueString?: string }[];
};

/** Of a Task that the server wrote. Throws AssentError('not-found') where it is of something else. */
export function waitingIn(body: string): Waiting {
  const { id, focus, for: patient, requester, restriction, input = [] } = JSON.parse(body) as Task;
  const said = (name: string) => input.find(({ type }) => type?.text === name)?.valueString;
  const [statement, digest] = [said('statement'), said('digest')];
  const consent = /^Consent\/(.+)$/.exec(focus?.reference ?? '')?.[1];
  if (id === undefined || statement === undefined || digest === undefined || consent === undefined) throw new AssentError('not-found');
  const until = Date.parse(restriction?.period?.end ?? '');
  return { task: id, consent, patient: patient?.reference ?? '', requester: requester?.reference ?? '', until, statement, digest };
}

/** References of those whom its terms name. */
export function namedIn({ statement }: Waiting): readonly string[] {
  return partiesOf((JSON.parse(statement) as { readonly consent: ConsentTerms }).consent);
}

type Queue = { readonly waiting: readonly Waiting[]; readonly more: boolean; readonly names: Names };

export function queuePage({ caller, formToken }: Session, { waiting, more, names }: Queue): Html {
  return html`<p>Asked of ${names.get(caller.actor) ?? caller.actor}. A request is granted when the patient and the custodian have both signed it.</p>
${waiting.length === 0 ? html`<p role="status">Nothing waits.</p>` : undefined}
<ol>${waiting.map(
    ({ task, patient, requester, until }) => html`<li class="card">
<h3>${names.get(requester) ?? requester}</h3>
<dl><dt>About</dt><dd>${patient}</dd><dt>Until</dt><dd>${time(until)}</dd></dl>
<form method="post" action="/console/queue/review"><input type="hidden" name="task" value="${task}"><input type="hidden" name="token" value="${formToken}"><button class="plain">Read what is asked</button></form>
</li>`,
  )}</ol>
${more ? html`<p>There are more: the oldest are shown, decide these first.</p>` : undefined}
<p class="way"><a href="/console/passkey">Register a passkey to sign with</a></p>`;
}

type Reviewing = { readonly waiting: Waiting; readonly keys: readonly ListedKey[]; readonly names: Names; readonly now: number };

export function reviewPage(session: Session, { waiting, keys, names, now }: Reviewing): Html {
  const { consent, patient, requester, until, statement, digest } = waiting;
  const refusal = refusalStatement({ consent: `Consent/${consent}`, digest, now });
  return html`<dl><dt>Asked by</dt><dd>${names.get(requester) ?? requester}</dd><dt>About</dt><dd>${patient}</dd><dt>Until</dt><dd>${time(until)}</dd></dl>
${termsOf(statement, { language: 'en', words: patientWords.en }, names)}
<h2>Approve</h2>
${waysToSign(session, keys, { name: 'approve', statement, consent, button: 'Approve', how: 'detached' })}
<h2>Refuse</h2>
<p>Whoever asked is not told by whom, nor why. Sign within ten minutes.</p>
${waysToSign(session, keys, { name: 'refuse', statement: refusal, consent, button: 'Refuse', how: 'attached' })}
<p class="way"><a href="/console/queue">All that waits</a></p>
<script src="${SCRIPT_PATH}" defer></script><script type="module" src="${KEY_SCRIPT_PATH}"></script>`;
}

type Signing = {
  readonly name: 'approve' | 'refuse';
  readonly statement: string;
  readonly consent: string;
  readonly button: string;
  readonly how: 'detached' | 'attached';
};

function waysToSign(session: Session, keys: readonly ListedKey[], signing: Signing): Html {
  return html`${passkeyForm(session, keys, signing)}
<details><summary>With a key file</summary>${keyFileForm(session, signing)}</details>
<details><summary>With a signature made elsewhere</summary>${elsewhereForm(session, signing)}</details>`;
}

function fieldsOf({ formToken }: Session, { consent, statement }: Signing, more: Readonly<Record<string, string>> = {}): readonly Html[] {
  return Object.entries({ consent, statement, token: formToken, ...more }).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`,
  );
}

function passkeyForm(session: Session, keys: readonly ListedKey[], signing: Signing): Html {
  const passkeys = keys.flatMap(({ passkey, revoked }) => (passkey && !revoked ? [passkey] : []));
  const [first] = passkeys;
  if (!first)
    return html`<p>No passkey of <code>${session.caller.actor}</code> is in use: <a href="/console/passkey">register one</a>, or sign with a key file.</p>`;
  const challenge = createHash('sha256').update(signing.statement).digest('base64url');
  const credentials = passkeys.map(({ credentialId }) => credentialId).join(' ');
  return html`<form method="post" action="/console/queue/${signing.name}" data-passkey="sign" data-challenge="${challenge}" data-rp-id="${first.rpId}" data-credentials="${credentials}">
${fieldsOf(session, signing, { webauthn: '' })}
${passkeyProblem()}
<button>${signing.button} with a passkey</button>
</form>
<noscript><p class="bad">Passkeys and key files need JavaScript; a signature made elsewhere does not.</p></noscript>`;
}

function keyFileForm(session: Session, signing: Signing): Html {
  const id = `${signing.name}-file`;
  return html`<form method="post" action="/console/queue/${signing.name}" data-key-file="${signing.how}">
${fieldsOf(session, signing, { jws: '' })}
<label for="${id}">Private key (JWK)</label>
<input id="${id}" name="file" type="file" required accept=".json,.jwk,application/json">
<p class="soft">It is read on this page and sent nowhere.</p>
<p class="bad" role="alert" data-key-problem></p>
<button>${signing.button} with this key</button>
</form>`;
}

function elsewhereForm(session: Session, signing: Signing): Html {
  const id = `${signing.name}-jws`;
  const form = signing.how === 'detached' ? 'with its payload detached (RFC 7515 appendix F)' : 'with its payload attached';
  return html`<form method="post" action="/console/queue/statement">${fieldsOf(session, signing)}<button class="plain">Save what is signed</button></form>
<form method="post" action="/console/queue/${signing.name}">
${fieldsOf(session, signing)}
<label for="${id}">Its compact JWS, ${form}</label>
<input id="${id}" name="jws" required autocomplete="off" autocapitalize="none" spellcheck="false">
<button>${signing.button} with this signature</button>
</form>`;
}

export function passkeyPage({ caller, formToken }: Session): Html {
  return html`<p>With it you sign for <code>${caller.actor}</code>. An administrator issues the code: <code>POST /admin/enrolments</code> with the Organization as its owner.</p>
<form method="post" action="/console/passkey" data-passkey="enrol">
<label for="code">The code you were given</label>
<input id="code" name="code" required maxlength="40" placeholder="XXXX-XXXX-XXXX" autocomplete="off" autocapitalize="characters" spellcheck="false">
<input type="hidden" name="token" value="${formToken}">
${passkeyProblem()}
<button>Register a passkey</button>
</form>
<p class="soft">The code works once, and for an hour.</p>
<script src="${SCRIPT_PATH}" defer></script>
<noscript><p class="bad">Passkeys need JavaScript: this page runs one small script, from this server.</p></noscript>`;
}
