/**
 * What a patient sees of passkeys. The buttons do nothing without the script: a passkey is used by no other way.
 * Invariant: every form here names, in `data-passkey`, what `passkey.js` does with it.
 */
import { type Html, html } from '../html.ts';
import { moment } from './dates.ts';
import type { Reader, Visitor } from './frame.ts';
import { type PatientWords, patientWords } from './words.ts';

export const SCRIPT_PATH = '/assets/passkey.js';

/** On a page once, however many forms it has. */
export function passkeyScript({ passkey }: PatientWords = patientWords.en): Html {
  return html`<script src="${SCRIPT_PATH}" defer></script>
<noscript><p class="bad">${passkey.noScript}</p></noscript>`;
}

/** Where the script says what went wrong: the words are here, the script has none. */
export function passkeyProblem({ passkey }: PatientWords = patientWords.en): Html {
  const { cancelled, known, refused, unsupported } = passkey;
  return html`<p class="bad" role="alert" data-passkey-problem data-cancelled="${cancelled}" data-known="${known}" data-refused="${refused}" data-unsupported="${unsupported}"></p>`;
}

export function enrolPage({ words }: Visitor): Html {
  const { enrol } = words;
  return html`<p>${enrol.intro}</p>
<form method="post" action="/patient/enrol" data-passkey="enrol">
<label for="code">${enrol.code}</label>
<input id="code" name="code" required maxlength="40" placeholder="XXXX-XXXX-XXXX" autocomplete="off" autocapitalize="characters" spellcheck="false">
${passkeyProblem(words)}
<button>${enrol.button}</button>
</form>
<p class="soft">${enrol.note}</p>
${passkeyScript(words)}`;
}

/** The new passkey that is to replace lost ones was made, and waits. */
export function proposedPage({ words }: Visitor, hours: number): Html {
  const { recovery } = words;
  return html`<p class="good" role="status">${recovery.made}</p>
<ol class="steps">
<li>${recovery.confirm}</li>
<li>${recovery.wait} ${hours} ${recovery.hours}</li>
<li>${recovery.afterwards} <a href="/patient/sign-in">${words.signIn.title}</a></li>
</ol>`;
}

export function signInPage({ words }: Visitor, { next, enrolled }: { readonly next: string | undefined; readonly enrolled: boolean }): Html {
  const { signIn } = words;
  return html`${enrolled ? html`<p class="good" role="status">${signIn.enrolled}</p>` : undefined}
<form method="post" action="/patient/sign-in" data-passkey="sign-in">
${next === undefined ? undefined : html`<input type="hidden" name="next" value="${next}">`}
${passkeyProblem(words)}
<button>${signIn.button}</button>
</form>
<p>${signIn.none}</p>
<p class="way"><a href="/patient/enrol">${signIn.register}</a></p>
${passkeyScript(words)}`;
}

/** `registeredAt`: ISO instant. */
export type ListedKey = {
  readonly kid: string;
  readonly registeredAt: string;
  readonly passkey?: { readonly credentialId: string; readonly rpId: string };
  readonly revoked?: { readonly at: string };
};

export function passkeysPage(reader: Reader, keys: readonly ListedKey[]): Html {
  const { session, words } = reader;
  const others = ({ kid: of }: ListedKey) => keys.some(({ kid, passkey, revoked }) => kid !== of && passkey && !revoked);
  return html`<ol>${keys.map((key) => keyCard(reader, key, { others: others(key) }))}</ol>
<h2>${words.keys.another}</h2>
<p>${words.keys.anotherSays}</p>
<form method="post" action="/patient/passkeys/add" data-passkey="add">
<input type="hidden" name="token" value="${session.formToken}">
${passkeyProblem(words)}
<button>${words.keys.add}</button>
</form>
${passkeyScript(words)}`;
}

function keyCard(
  { session, words, language }: Reader,
  { kid, registeredAt, passkey, revoked }: ListedKey,
  { others }: { readonly others: boolean },
): Html {
  const { keys } = words;
  return html`<li class="card">
<h2>${passkey ? keys.passkey : keys.signingKey} ${revoked ? html`<span class="bad">${keys.revoked}</span>` : html`<span class="good">${keys.inUse}</span>`}</h2>
<dl>
<dt>${keys.since}</dt><dd>${moment(Date.parse(registeredAt), language)}</dd>
${revoked ? html`<dt>${keys.until}</dt><dd>${moment(Date.parse(revoked.at), language)}</dd>` : undefined}
<dt>${keys.key}</dt><dd><code>${kid}</code></dd>
</dl>
${
  others && !revoked
    ? html`<form method="post" action="/patient/passkeys/review">
<input type="hidden" name="kid" value="${kid}">
<input type="hidden" name="token" value="${session.formToken}">
<button class="plain">${keys.lost}</button>
</form>`
    : undefined
}
</li>`;
}
