/**
 * That somebody wants to replace the patient's keys: told to whoever signs in with one of them, and stopped by it. consent.md §6
 * Invariant: it is told where the patient comes first, and it takes a signature to stop it.
 */
import { keyStatement } from '../../consent/workflow.ts';
import { type Html, html } from '../html.ts';
import { moment } from './dates.ts';
import type { Reader } from './frame.ts';
import type { ListedKey } from './passkeys.ts';
import { signatureForm } from './sign.ts';

/** `dueAt`: ISO instant. */
export type ListedRecovery = { readonly kid: string; readonly dueAt: string; readonly state: string };

export function openRecovery(recoveries: readonly ListedRecovery[]): ListedRecovery | undefined {
  return recoveries.find(({ state }) => state === 'open');
}

export function recoveryNotice({ words, language }: Reader, { dueAt }: ListedRecovery): Html {
  return html`<div class="card refused" role="alert"><p><strong>${words.recovery.notice}</strong> ${moment(Date.parse(dueAt), language)}</p>
<p class="way"><a href="/patient/passkeys">${words.recovery.look}</a></p></div>`;
}

type Stopping = { readonly open: ListedRecovery; readonly keys: readonly ListedKey[]; readonly base: string; readonly now: number };

/** `base`: our FHIR base URL. `now`: ms since 1970. */
export function stopForm({ session, words, language }: Reader, { open, keys, base, now }: Stopping): Html {
  const { kid, dueAt } = open;
  const statement = keyStatement('key-recovery-stop', { owner: session.patient, kid }, { audience: base, now });
  const asking = { statement, action: '/patient/passkeys/stop', button: words.recovery.stop };
  return html`<div class="card refused" role="alert"><p><strong>${words.recovery.notice}</strong> ${moment(Date.parse(dueAt), language)}</p>
<p>${words.recovery.says}</p>
<p>${words.keys.key} <code>${kid}</code></p>
${signatureForm(session, keys, asking, words)}</div>`;
}
