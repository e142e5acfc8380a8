/** What a person reads and decides when an app wants in. https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html */
import { type Html, html } from '../html.ts';

/** An app that waits for an answer; structurally that of the authorization room. */
export type AppRequest = {
  readonly uid: string;
  readonly client: { readonly id: string; readonly name: string; readonly actor: string };
  readonly redirectUri: string;
  readonly scopes: readonly string[];
  readonly contexts: readonly string[];
  readonly purpose: string;
  readonly opened: { readonly context: { readonly patient?: string } } | undefined;
  readonly needsPatient: boolean;
};

export type Shown = { readonly asked: AppRequest; readonly user: string; readonly problem?: string; readonly entered?: string };

const purposes: Readonly<Record<string, string>> = {
  TREAT: 'to treat you (TREAT)',
  PATRQT: 'because you ask for it (PATRQT)',
  HPAYMT: 'to pay for health care (HPAYMT)',
  HRESCH: 'for research (HRESCH)',
  HOPERAT: 'to run health care (HOPERAT)',
};

export function authorizePage({ asked, user, problem, entered = '' }: Shown): Html {
  const { uid, client, scopes, contexts, purpose } = asked;
  const isPatient = user.startsWith('Patient/');
  return html`
<p><strong>${client.name}</strong>, run by ${client.actor}, asks for access. You are signed in as ${user}.</p>
${problem === undefined ? undefined : html`<p class="bad" role="alert">${problem}</p>`}
<form method="post" action="/authorize/${uid}">
<dl><dt>Purpose</dt><dd>${isPatient ? (purposes[purpose] ?? purpose) : purpose}</dd>
<dt>For how long</dt><dd>${durationOf(contexts)}</dd>
<dt>Then it goes to</dt><dd>${new URL(asked.redirectUri).origin}</dd></dl>
<h2>What it may see</h2>
${scopes.length === 0 ? html`<p>Nothing of any record.</p>` : html`<p>Take away what it is not to see.</p>${scopes.map(choice)}`}
${contexts.includes('openid') ? html`<p>It learns who you are.</p>` : undefined}
${isPatient ? ownNote() : patientField(asked, entered)}
<button name="answer" value="allow">Allow</button>
<button class="plain" name="answer" value="deny">Do not allow</button>
</form>`;
}

function choice(scope: string): Html {
  return html`<label class="choice"><input type="checkbox" name="scope" value="${scope}" checked> ${scopeWords(scope)}</label>`;
}

/** A scope in plain words, e.g. "Observations: read and search". */
export function scopeWords(scope: string): string {
  const [, context = '', type = '', letters = '', query] = /^(\w+)\/([\w*]+)\.([\w*]+)(?:\?(.+))?$/.exec(scope) ?? [];
  const what = type === '*' ? 'Everything' : type.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ');
  const whose = context === 'patient' ? 'of this one patient' : 'of all that you may see';
  const how = letters === 'r' ? 'read one by one' : letters === 's' ? 'search' : 'read and search';
  return `${what}, ${whose}: ${how}${query === undefined ? '' : `, only where ${query.replaceAll('&', ' and ')}`}`;
}

function durationOf(contexts: readonly string[]): string {
  if (contexts.includes('offline_access')) return 'Up to 90 days, also while you are away';
  return contexts.includes('online_access') ? 'Up to 12 hours at a time' : 'Ten minutes';
}

function ownNote(): Html {
  return html`<p>It sees of your record only what a Consent that you signed permits to it. <a href="/patient/consents">Your consents</a></p>`;
}

function patientField({ opened, needsPatient }: AppRequest, entered: string): Html | undefined {
  if (opened?.context.patient !== undefined) return html`<p>It is opened for the patient that your record system has open.</p>`;
  if (!needsPatient) return undefined;
  return html`<label for="patient">For which patient</label><input id="patient" name="patient" value="${entered}" placeholder="Patient/123" autocomplete="off">`;
}

export function signInChoice({ uid }: AppRequest, { upstream }: { readonly upstream: boolean }): Html {
  return html`
<p>An app asks for access. First say who you are.</p>
${upstream ? html`<form method="post" action="/authorize/${uid}"><button name="answer" value="sign-in">Sign in with your organization</button></form>` : undefined}
<p><a href="/patient/sign-in?next=/authorize/${uid}">Sign in with your passkey</a>, if this is about your own record.</p>
<form method="post" action="/authorize/${uid}"><button class="plain" name="answer" value="deny">Do not allow</button></form>`;
}
