/**
 * How a page of ours has the patient sign a statement with their passkey: what it means in words, and a form whose button asks the authenticator.
 * consent.md §4
 *
 * Invariants: the words shown are those whose digest the patient signs, or the page is not shown; what comes back is judged by the Gate, never here.
 */
import { createHash } from 'node:crypto';
import { type SaidTerms, translateTerms, webauthnSignature } from '../../consent/workflow.ts';
import { AssentError } from '../../errors.ts';
import type { Form } from '../forms.ts';
import { type Html, html } from '../html.ts';
import type { Language } from '../language.ts';
import { type ListedKey, passkeyProblem, passkeyScript } from './passkeys.ts';
import { typeName } from './record.ts';
import type { PatientSession } from './sessions.ts';
import type { ConsentTerms, Names } from './terms.ts';
import { type PatientWords, patientWords } from './words.ts';

/** For acceptForms: a statement goes there and back. */
export const SIGNED_FORM_BYTES = 262_144;

/** base64url, as statements are named by. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');

type Shown = { readonly language: Language; readonly words: PatientWords /** Whose page it is. */; readonly patient?: string | undefined };

/**
 * The words of a consent statement, as they were prepared; in another language for whoever reads that one, and what the names in them stand for.
 * Throws AssentError('invalid-signature') unless they are those that it says were shown.
 */
export function termsOf(statement: string, { language, words, patient }: Shown, names: Names = new Map()): Html {
  const said = JSON.parse(statement) as SaidTerms;
  const { consent, shown } = said;
  const { text } = consent as { readonly text?: { readonly div?: string } };
  const paragraphs = [...(text?.div ?? '').matchAll(/<p>([^<]*)<\/p>/g)].map(([, line = '']) => line);
  const lines = paragraphs.map((line) => line.replaceAll(/&#(\d+);/g, (_all, code: string) => String.fromCodePoint(Number(code))));
  if (lines.length === 0 || sha256(lines.join('\n')) !== shown?.digest)
    throw new AssentError('invalid-signature', 'The words of this Consent are not those that would be signed.');
  const other = shown.language === language ? undefined : translateTerms(said, language);
  return html`${shown.language === language ? undefined : html`<p>${words.terms.signedIn[shown.language as Language]}</p>`}
<div class="card" lang="${shown.language}">${lines.map((line) => html`<p>${line}</p>`)}</div>
${other && html`<p>${words.terms.inYours}</p><div class="card">${other.map((line) => html`<p>${line}</p>`)}</div>`}
${glossary(lines.join(' '), { words, patient, names, terms: consent as ConsentTerms })}`;
}

type Named = { readonly words: PatientWords; readonly patient: string | undefined; readonly names: Names; readonly terms: ConsentTerms };

/** What is named in the words by a reference or by its kind. */
function glossary(text: string, { words, patient, names, terms }: Named): Html | undefined {
  const kinds = terms.provision?.class?.map(({ code = '' }) => [code, typeName(words, code)] as const) ?? [];
  const meant = [...(patient === undefined ? [] : [[patient, words.terms.you] as const]), ...names, ...kinds];
  const used = meant.filter(([name, means]) => name !== means && text.includes(name));
  if (used.length === 0) return undefined;
  return html`<p class="soft">${words.terms.meaning}</p>
<dl class="names">${used.map(([name, means]) => html`<dt>${name}</dt><dd>${means}</dd>`)}</dl>`;
}

export type Asking = {
  /** The exact text that is signed. */
  readonly statement: string;
  /** Where the form goes. */
  readonly action: string;
  /** What its button says. */
  readonly button: string;
  /** What else it brings. */
  readonly fields?: Readonly<Record<string, string>>;
  /** What is filled in beside it; it is no part of what is signed. */
  readonly inside?: Html | undefined;
  /** Not what the page is for. */
  readonly plain?: boolean;
};

/** `keys`: the patient's. The page is shown with `{ script: origin + SCRIPT_PATH }`; the form brings `token`, `statement` and `webauthn`: signedIn. */
export function signForm(session: PatientSession, keys: readonly ListedKey[], asking: Asking, words: PatientWords = patientWords.en): Html {
  return html`${signatureForm(session, keys, asking, words)}${passkeyScript(words)}`;
}

/** The same without the script, which a page of several forms brings once. */
export function signatureForm(
  { formToken }: PatientSession,
  keys: readonly ListedKey[],
  { statement, action, button, fields = {}, inside, plain = false }: Asking,
  words: PatientWords,
): Html {
  const passkeys = keys.flatMap(({ passkey, revoked }) => (passkey && !revoked ? [passkey] : []));
  const [first] = passkeys;
  if (!first) return html`<p class="bad">${words.passkey.noneInUse}</p>`;
  const credentials = passkeys.map(({ credentialId }) => credentialId).join(' ');
  const hidden = { ...fields, token: formToken, statement, webauthn: '' };
  return html`<form method="post" action="${action}" data-passkey="sign" data-challenge="${sha256(statement)}" data-rp-id="${first.rpId}" data-credentials="${credentials}">
${Object.entries(hidden).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
${inside}
${passkeyProblem(words)}
${plain ? html`<button class="plain">${button}</button>` : html`<button>${button}</button>`}
</form>`;
}

/** What such a form brought. `signature` stands wherever a JWS stands in calls of the Gate. Throws AssentError('invalid-signature'). */
export function signedIn(form: Form): { readonly statement: string; readonly signature: string } {
  return { statement: form.get('statement') ?? '', signature: webauthnSignature(form.get('webauthn') ?? '') };
}
