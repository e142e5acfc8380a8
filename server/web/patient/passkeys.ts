/**
 * What a patient sees of passkeys. The buttons do nothing without the script: a passkey is used by no other way.
 * Invariant: every form here names, in `data-passkey`, what `passkey.js` does with it.
 */
import { type Html, html } from '../html.ts';
import { time } from '../layout.ts';
import type { PatientSession } from './sessions.ts';

export const SCRIPT_PATH = '/assets/passkey.js';

export const passkeyScript: Html = html`<script src="${SCRIPT_PATH}" defer></script>
<noscript><p class="bad">Passkeys need JavaScript: this page runs one small script, from this server.</p></noscript>`;

/** Where the script says what went wrong. */
export const passkeyProblem: Html = html`<p class="bad" role="alert" data-passkey-problem></p>`;

export function enrolPage(): Html {
  return html`<p>With a passkey you sign in here, and you sign who may see your record. It stays on your device, behind your finger, face or PIN.</p>
<form method="post" action="/patient/enrol" data-passkey="enrol">
<label for="code">The code you were given</label>
<input id="code" name="code" required maxlength="40" placeholder="XXXX-XXXX-XXXX" autocomplete="off" autocapitalize="characters" spellcheck="false">
${passkeyProblem}
<button>Register a passkey</button>
</form>
<p class="soft">The code works once, and for an hour.</p>
${passkeyScript}`;
}

export function signInPage({ next, enrolled }: { readonly next: string | undefined; readonly enrolled: boolean }): Html {
  return html`${enrolled ? html`<p class="good" role="status">Your passkey is registered. Sign in with it.</p>` : undefined}
<form method="post" action="/patient/sign-in" data-passkey="sign-in">
${next === undefined ? undefined : html`<input type="hidden" name="next" value="${next}">`}
${passkeyProblem}
<button>Sign in with your passkey</button>
</form>
<p>No passkey yet? With the code you were given you <a href="/patient/enrol">register one</a>.</p>
${passkeyScript}`;
}

/** `registeredAt`: ISO instant. */
export type ListedKey = {
  readonly kid: string;
  readonly registeredAt: string;
  readonly passkey?: { readonly credentialId: string; readonly rpId: string };
  readonly revoked?: { readonly at: string };
};

export function passkeysPage({ patient, formToken }: PatientSession, keys: readonly ListedKey[]): Html {
  return html`<p>Signed in as <code>${patient}</code>. <a href="/patient/consents">Your consents</a> <a href="/patient">All your pages</a></p>
<ol>${keys.map((key) => keyCard(key, { formToken, others: keys.some(({ kid, passkey, revoked }) => kid !== key.kid && passkey && !revoked) }))}</ol>
<h2>Another passkey</h2>
<p>Have one on a second device, so that a lost one locks you out of nothing. You are asked three times: to make it, to sign with it, and to sign with one you have.</p>
<form method="post" action="/patient/passkeys/add" data-passkey="add">
<input type="hidden" name="token" value="${formToken}">
${passkeyProblem}
<button>Add a passkey</button>
</form>
${passkeyScript}
<form method="post" action="/patient/sign-out">
<input type="hidden" name="token" value="${formToken}">
<button class="plain">Sign out</button>
</form>`;
}

function keyCard(
  { kid, registeredAt, passkey, revoked }: ListedKey,
  { formToken, others }: { readonly formToken: string; readonly others: boolean },
): Html {
  return html`<li class="card">
<h3>${passkey ? 'Passkey' : 'Signing key'} ${revoked ? html`<span class="bad">revoked</span>` : html`<span class="good">in use</span>`}</h3>
<dl>
<dt>Since</dt><dd>${time(Date.parse(registeredAt))}</dd>
${revoked ? html`<dt>Until</dt><dd>${time(Date.parse(revoked.at))}</dd>` : undefined}
<dt>Key</dt><dd><code>${kid}</code></dd>
</dl>
${
  others && !revoked
    ? html`<form method="post" action="/patient/passkeys/review">
<input type="hidden" name="kid" value="${kid}">
<input type="hidden" name="token" value="${formToken}">
<button class="plain">I have lost it</button>
</form>`
    : undefined
}
</li>`;
}
