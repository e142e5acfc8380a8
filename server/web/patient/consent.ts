/**
 * One Consent to its patient: what it says in short and in the words that are signed, and what they can do about it now.
 * Invariant: a signature is asked for only beside its words.
 */
import type { ConsentStatement, Gate } from '../../consent/gate.ts';
import { refusalStatement, withdrawalStatement } from '../../consent/workflow.ts';
import { type Html, html } from '../html.ts';
import type { ConsentPages } from './consents.ts';
import { moment } from './dates.ts';
import type { Reader } from './frame.ts';
import { type Asked, askedOf, askerOf, isWaiting } from './inbox.ts';
import { namesOf } from './names.ts';
import { narrowForm } from './narrow.ts';
import { type ListedKey, passkeyScript } from './passkeys.ts';
import { signatureForm, termsOf } from './sign.ts';
import { custodiansOf, type Names, partiesOf, readersOf, termsList } from './terms.ts';

export const LONGEST_REASON = 500;

type Opened = { readonly id: string; readonly known: ConsentStatement; readonly gate: Gate };
type View = { readonly asked: Asked; readonly names: Names; readonly keys: readonly ListedKey[]; readonly now: number };

export async function consentPage(
  { keysOf, clock, ...naming }: ConsentPages,
  reader: Reader,
  { id, known, gate }: Opened,
): Promise<{ readonly title: string; readonly content: Html }> {
  const asked = askedOf(id, known);
  const names = await namesOf(gate, naming, [...partiesOf(asked.terms), ...(known.asked ? [known.asked.by] : [])]);
  const view = { asked, names, keys: await keysOf(reader.session.patient), now: clock() };
  const waits = isWaiting(known, { until: asked.until, now: view.now });
  const content = html`${waits ? waitingPart(reader, view) : settledPart(reader, view)}${passkeyScript(reader.words)}`;
  return { title: waits && known.asked ? reader.words.inbox.request : reader.words.consents.one, content };
}

const whose = ({ language, words, session }: Reader) => ({ language, words, patient: session.patient });

/** What would be signed, in short and exactly. */
function toSign(reader: Reader, { asked, names }: View): Html {
  const { words } = reader;
  const { known, terms, until } = asked;
  const more = html`<dt>${words.inbox.until}</dt><dd>${moment(until, reader.language)}</dd>`;
  const custodians = custodiansOf(reader, terms, names);
  return html`${termsList(reader, terms, { names, more })}
<h2>${words.consents.exact}</h2>
${termsOf(known.statement, whose(reader), names)}
${custodians === '' ? undefined : html`<p class="soft">${custodians} ${words.inbox.besides}</p>`}`;
}

function approving({ session, words }: Reader, { asked, keys }: View): Html {
  return signatureForm(session, keys, { statement: asked.known.statement, action: '/patient/consents/sign', button: words.inbox.approve }, words);
}

function waitingPart(reader: Reader, view: View): Html {
  const { words } = reader;
  const { asked, names, now } = view;
  const { known } = asked;
  return html`<p><strong>${askerOf(reader, asked, names)}</strong> ${known.asked ? words.inbox.asks : words.inbox.prepared}
${known.asked ? html`<span class="soft"><code>${known.asked.by}</code></span>` : undefined}</p>
${toSign(reader, view)}
${approving(reader, view)}
${known.asked ? html`${narrowForm(reader, asked, now)}${refusing(reader, view)}` : undefined}`;
}

function refusing({ session, words }: Reader, { asked, keys, now }: View): Html {
  const { id, known } = asked;
  const { refuse, refuseTitle, refuseSays, reason } = words.inbox;
  const statement = refusalStatement({ consent: `Consent/${id}`, digest: known.digest, now });
  const inside = html`<label for="reason">${reason}</label><textarea id="reason" name="reason" rows="2" maxlength="${LONGEST_REASON}"></textarea>`;
  const asking = { statement, action: '/patient/consents/refuse', button: refuse, fields: { id }, inside, plain: true };
  return html`<details><summary>${refuseTitle}</summary><p>${refuseSays}</p>
${signatureForm(session, keys, asking, words)}</details>`;
}

/** Narrower terms, to be signed in the place of those that are asked for. */
export async function narrowedPage({ keysOf, clock, ...naming }: ConsentPages, reader: Reader, { id, known, gate }: Opened): Promise<Html> {
  const { words, session } = reader;
  const asked = askedOf(id, known);
  const names = await namesOf(gate, naming, partiesOf(asked.terms));
  const view = { asked, names, keys: await keysOf(session.patient), now: clock() };
  return html`<p><strong>${readersOf(reader, asked.terms, names)}</strong></p>
${toSign(reader, view)}
${approving(reader, view)}
<form method="post" action="/patient/consents/review">
<input type="hidden" name="id" value="${id}">
<input type="hidden" name="token" value="${session.formToken}">
<button class="plain">${words.narrow.back}</button>
</form>
${passkeyScript(words)}`;
}

function settledPart(reader: Reader, { asked, names, keys, now }: View): Html {
  const { session, words } = reader;
  const { consents } = words;
  const { id, known, terms } = asked;
  const more = html`<dt>${consents.who}</dt><dd>${readersOf(reader, terms, names)}</dd>`;
  const statement = withdrawalStatement({ consent: `Consent/${id}`, digest: known.digest, now });
  const asking = { statement, action: '/patient/consents/withdraw', button: consents.withdraw, fields: { id } };
  const ends = known.state === 'active' || (known.state === 'proposed' && known.signed);
  return html`${termsList(reader, terms, { names, more })}
${known.state === 'active' ? undefined : html`<p role="status">${ends ? consents.mine : consents.over}</p>`}
${ends ? html`<p>${consents.withdrawSays}</p>${signatureForm(session, keys, asking, words)}` : undefined}
<h2>${consents.signed}</h2>
${termsOf(known.statement, whose(reader), names)}`;
}
