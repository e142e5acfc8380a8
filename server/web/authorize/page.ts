/** What a person reads and decides when an app wants in. https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html */
import { type Html, html } from '../html.ts';
import type { Language } from '../language.ts';
import type { Kind } from '../patient/record.ts';
import { kindOfType, typeName } from '../patient/record.ts';
import { patientWords } from '../patient/words.ts';
import { daysOffered, spansOffered } from './terms.ts';
import { authorizeWords } from './words.ts';

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

export type Shown = {
  readonly asked: AppRequest;
  readonly user: string;
  readonly language: Language;
  /** Of the patient who is asked: how much of each kind there is. */
  readonly counts?: readonly (readonly [Kind, number])[];
  /** What whoever runs the app is called. */
  readonly runBy?: string | undefined;
  readonly problem?: string;
  readonly entered?: string;
};

export function authorizePage({ asked, user, language, counts, runBy, problem, entered = '' }: Shown): Html {
  const { uid, scopes, contexts } = asked;
  const words = authorizeWords[language];
  const isPatient = user.startsWith('Patient/');
  const signs = isPatient && scopes.length > 0;
  return html`
${whoAsks({ asked, user, language, runBy })}
${problem === undefined ? undefined : html`<p class="bad" role="alert">${problem}</p>`}
<form method="post" action="/authorize/${uid}">
<dl><dt>${words.purpose}</dt><dd>${isPatient ? purposeWords(asked, language) : asked.purpose}</dd>
${signs ? undefined : html`<dt>${words.howLong}</dt><dd>${durationOf(contexts, language)}</dd>`}
<dt>${words.goesTo}</dt><dd>${new URL(asked.redirectUri).origin}</dd></dl>
<h2>${words.sees}</h2>
${scopes.length === 0 ? html`<p>${words.nothing}</p>` : html`<p>${words.takeAway}</p>${scopes.map((scope) => choice(scope, language, signs ? 'own' : 'any'))}`}
${contexts.includes('openid') ? html`<p>${words.learns}</p>` : undefined}
${signs ? ownTerms(asked, counts ?? [], language) : isPatient ? undefined : patientField(asked, entered, language)}
<button name="answer" value="allow">${signs ? words.go : words.allow}</button>
<button class="plain" name="answer" value="deny">${words.deny}</button>
</form>`;
}

export function whoAsks({ asked: { client }, user, language, runBy }: Pick<Shown, 'asked' | 'user' | 'language' | 'runBy'>): Html {
  const words = authorizeWords[language];
  return html`<p><strong>${client.name}</strong> ${words.asks} <strong>${runBy ?? client.actor}</strong>${words.stop}</p>
<p class="soft">${user.startsWith('Patient/') ? patientWords[language].signedInAs : words.signedInAs} <code>${user.replace(/^Patient\//, '')}</code></p>`;
}

export function purposeWords({ purpose }: AppRequest, language: Language): string {
  return authorizeWords[language].purposes[purpose] ?? purpose;
}

function choice(scope: string, language: Language, reader: 'own' | 'any'): Html {
  return html`<label class="choice"><input type="checkbox" name="scope" value="${scope}" checked> ${scopeWords(scope, language, reader)}</label>`;
}

/** A scope in plain words, e.g. "Observation, of this one patient: read and search"; to whom it is their own record, "Results and measurements". */
export function scopeWords(scope: string, language: Language, reader: 'own' | 'any' = 'any'): string {
  const words = authorizeWords[language];
  const [, context = '', type = '', letters = '', query] = /^(\w+)\/([\w*]+)\.([\w*]+)(?:\?(.+))?$/.exec(scope) ?? [];
  const kind = kindOfType(type);
  const limits = query === undefined ? '' : `, ${words.onlyWhere} ${query.replaceAll('&', words.and)}`;
  if (reader === 'own') return `${type === '*' ? words.everything : typeName(patientWords[language], type)}${limits}`;
  const named = kind === undefined ? type.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ') : `${patientWords[language].kinds[kind]} (${type})`;
  const what = type === '*' ? words.everything : named;
  const whose = context === 'patient' ? words.ofPatient : words.ofAll;
  const how = letters === 'r' ? words.how.r : letters === 's' ? words.how.s : words.how.rs;
  return `${what}, ${whose}: ${how}${limits}`;
}

function durationOf(contexts: readonly string[], language: Language): string {
  const { stays } = authorizeWords[language];
  if (contexts.includes('offline_access')) return stays.offline;
  return contexts.includes('online_access') ? stays.online : stays.short;
}

/** What the patient narrows besides the kinds. */
function ownTerms({ contexts }: AppRequest, counts: readonly (readonly [Kind, number])[], language: Language): Html {
  const words = authorizeWords[language];
  const { kinds } = patientWords[language];
  const usual = contexts.includes('offline_access') ? '90' : '1';
  return html`${counts.length === 0 ? undefined : html`<p>${words.holds} ${counts.map(([kind, count]) => `${kinds[kind]} ${count}`).join(' · ')}</p>`}
<label for="since">${words.dated}</label>
<select id="since" name="since">${spansOffered.map((span) => html`<option value="${span}">${words.since[span]}</option>`)}</select>
<label for="days">${words.howLong}</label>
<select id="days" name="days">${daysOffered.map(
    (days) => html`<option value="${days}"${days === usual ? html` selected` : undefined}>${words.days[days]}</option>`,
  )}</select>
<p>${words.thenSign} <a href="/patient/consents">${words.yourConsents}</a></p>`;
}

function patientField({ opened, needsPatient }: AppRequest, entered: string, language: Language): Html | undefined {
  const words = authorizeWords[language];
  if (opened?.context.patient !== undefined) return html`<p>${words.openedFor}</p>`;
  if (!needsPatient) return undefined;
  return html`<label for="patient">${words.whichPatient}</label><input id="patient" name="patient" value="${entered}" placeholder="Patient/123" autocomplete="off">`;
}

export function signInChoice({ uid }: AppRequest, { upstream, language }: { readonly upstream: boolean; readonly language: Language }): Html {
  const words = authorizeWords[language];
  return html`
<p>${words.whoAreYou}</p>
${upstream ? html`<form method="post" action="/authorize/${uid}"><button name="answer" value="sign-in">${words.organization}</button></form>` : undefined}
<p class="way"><a href="/patient/sign-in?next=/authorize/${uid}">${words.passkey}</a>${words.ownRecord}</p>
<p class="way"><a href="/staff/sign-in?next=/authorize/${uid}">${words.staffPasskey}</a>${words.worksHere}</p>
${denyForm(uid, language)}`;
}

/** Signed in elsewhere: there is nobody yet who could sign. */
export function passkeyNeeded({ uid }: AppRequest, language: Language): Html {
  const words = authorizeWords[language];
  return html`
<p>${words.passkeyNeeded}</p>
<p class="way"><a href="/patient/sign-in?next=/authorize/${uid}">${words.passkey}</a></p>
${denyForm(uid, language)}`;
}

export function denyForm(uid: string, language: Language): Html {
  return html`<form method="post" action="/authorize/${uid}"><button class="plain" name="answer" value="deny">${authorizeWords[language].deny}</button></form>`;
}
