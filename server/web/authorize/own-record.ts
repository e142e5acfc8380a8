/**
 * A patient lets an app into their own record: by a Consent for it that they read and sign with their passkey, and the custodian countersigns where
 * both have to. authorization.md §3, consent.md §4–§5
 *
 * Invariants: what is signed is what was shown in this request of the app; nothing goes back to the app before the Consent is in force; one that
 * is in force on the same terms is not signed a second time.
 */
import type { Caller } from '../../consent/model.ts';
import type { Gate, GateFor } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import type { Search } from '../../search/create-search.ts';
import type { Form } from '../forms.ts';
import { type Html, html } from '../html.ts';
import type { Language } from '../language.ts';
import { namesOf, type Naming } from '../patient/names.ts';
import type { ListedKey } from '../patient/passkeys.ts';
import { type Kind, kinds } from '../patient/record.ts';
import type { PatientSession } from '../patient/sessions.ts';
import { sha256, signedIn, signForm, termsOf } from '../patient/sign.ts';
import { patientWords } from '../patient/words.ts';
import { type AppRequest, denyForm, scopeWords, whoAsks } from './page.ts';
import { appConsent, deviceOf, offered, type Terms } from './terms.ts';
import { authorizeWords } from './words.ts';

type AppTerms = {
  readonly client: string;
  readonly patient: string;
  readonly purpose: string;
  readonly scopes: readonly string[];
  readonly narrowed: string;
};
type AppConsent = AppTerms & { readonly consent: string; readonly digest: string; readonly until: number };

export type OwnRecord = {
  /** What the authorization room offers. */
  readonly appConsents: {
    show(uid: string, made: AppConsent): Promise<void>;
    shownIn(uid: string): Promise<AppConsent | undefined>;
    sign(made: AppConsent): Promise<void>;
    signedOn(terms: AppTerms): Promise<readonly AppConsent[]>;
  };
  readonly gateFor: GateFor;
  readonly search: Pick<Search, 'plan'>;
  readonly clientName: Naming['clientName'];
  readonly keysOf: (owner: string) => Promise<readonly ListedKey[]>;
  /** Whose signatures a Consent needs. */
  readonly approvals: 'both' | 'patient';
  readonly clock: () => number;
};

/** Who is asked, and by which app. */
export type Asked = { readonly asked: AppRequest; readonly session: PatientSession; readonly language: Language };

/** Go on with the app, or show this first. */
export type Step =
  | { readonly kind: 'approved'; readonly consent: AppConsent }
  | { readonly kind: 'shown'; readonly title: string; readonly content: Html };

/** What the organization that runs the app is called in the directory. */
export async function runBy(own: OwnRecord, { asked: { client }, session }: Asked): Promise<string | undefined> {
  return (await namesOf(own.gateFor(session.caller), own, [client.actor])).get(client.actor);
}

/** How much of each kind there is that the app asks for. */
export async function countsOf({ gateFor, search }: OwnRecord, { asked, session }: Asked): Promise<readonly (readonly [Kind, number])[]> {
  const types = new Set(asked.scopes.map((scope) => /^\w+\/([\w*]+)\./.exec(scope)?.[1]));
  const wanted = (Object.keys(kinds) as Kind[]).filter((kind) => types.has('*') || types.has(kinds[kind].type));
  const gate = gateFor(session.caller);
  const counted = await Promise.all(
    wanted.map(async (kind): Promise<readonly [Kind, number]> => {
      const query = `patient=${session.patient}&_summary=count`;
      const { where, order, count } = search.plan(kinds[kind].type, new URLSearchParams(query), 'strict');
      const { total = 0 } = await gate.search({
        type: kinds[kind].type,
        where,
        order,
        count,
        total: 'at-least',
        query: `${kinds[kind].type}?${query}`,
      });
      return [kind, total];
    }),
  );
  return counted.filter(([, count]) => count > 0);
}

/** The answer of the first page: what was left ticked, from when on and for how long. */
export async function answered(own: OwnRecord, patient: Asked, form: Form): Promise<Step> {
  const { asked } = patient;
  const scopes = form.getAll('scope');
  const narrowed = offered(form.get('days'), form.get('since'));
  if (!narrowed || scopes.some((scope) => !asked.scopes.includes(scope)))
    throw new AssentError('invalid-request', 'The app did not ask for this, or the page did not offer it.');
  for (const made of await own.appConsents.signedOn(termsFor(patient, { ...narrowed, scopes }))) {
    const step = await stepOf(own, patient, made);
    // One that is over is no answer any more.
    if (step && made.until > own.clock()) return step;
  }
  return ask(own, patient, { ...narrowed, scopes });
}

/** The statement as it was shown, signed. */
export async function signed(own: OwnRecord, patient: Asked, form: Form): Promise<Step> {
  const { session } = patient;
  const made = await shownTo(own, patient);
  const { statement, signature } = signedIn(form);
  if (sha256(statement) !== made.digest) throw new AssentError('invalid-signature', 'This is not what was shown.');
  await own.gateFor(session.caller).signConsent({ statement, signatures: [{ who: session.patient, jws: signature }] });
  await own.appConsents.sign(made);
  return (await stepOf(own, patient, made)) ?? over(patient);
}

/** Where the Consent stands that was shown in this request: another look. */
export async function looked(own: OwnRecord, patient: Asked): Promise<Step> {
  return (await stepOf(own, patient, await shownTo(own, patient))) ?? over(patient);
}

async function shownTo({ appConsents }: OwnRecord, { asked, session }: Asked): Promise<AppConsent> {
  const made = await appConsents.shownIn(asked.uid);
  if (made?.patient !== session.patient || made.client !== asked.client.id)
    throw new AssentError('invalid-request', 'Nothing was shown here to be signed.');
  return made;
}

/** Undefined: it is over. */
async function stepOf({ gateFor }: OwnRecord, { asked, session, language }: Asked, made: AppConsent): Promise<Step | undefined> {
  const gate = gateFor(session.caller);
  if (await gate.permitsNow(made.consent)) return { kind: 'approved', consent: made };
  const known = await gate.statementOf(made.consent);
  if (known?.state !== 'proposed') return undefined;
  const words = authorizeWords[language];
  const content = html`<p class="good" role="status">${words.waits}</p>
<p>${words.later}</p>
<form method="post" action="/authorize/${asked.uid}"><button name="answer" value="look">${words.lookAgain}</button></form>
<p class="way"><a href="/patient/consents">${words.yourConsents}</a></p>
${denyForm(asked.uid, language)}`;
  return { kind: 'shown', title: words.waitTitle, content };
}

function over({ asked, language }: Asked): Step {
  const words = authorizeWords[language];
  return { kind: 'shown', title: words.title, content: html`<p class="bad" role="alert">${words.notGranted}</p>${denyForm(asked.uid, language)}` };
}

type Narrowed = Pick<Terms, 'days' | 'since' | 'scopes'>;

function termsFor({ asked: { client, purpose }, session }: Asked, { scopes, days, since }: Narrowed): AppTerms {
  return { client: client.id, patient: session.patient, purpose, scopes, narrowed: `${days} ${since}` };
}

async function ask(own: OwnRecord, patient: Asked, narrowed: Narrowed): Promise<Step> {
  const { asked, session, language } = patient;
  const { client, purpose } = asked;
  const words = authorizeWords[language];
  const custodian = await custodianOf(own.gateFor(session.caller), session);
  if (custodian === undefined) {
    const content = html`<p class="bad" role="alert">${words.noCustodian}</p>${denyForm(asked.uid, language)}`;
    return { kind: 'shown', title: words.title, content };
  }
  const { consent, until } = appConsent({ ...narrowed, patient: session.patient, custodian, client, purpose, now: own.clock() });
  const { id, statement } = await stated(own, patient, { consent, until });
  await own.appConsents.show(asked.uid, { ...termsFor(patient, narrowed), consent: id, digest: sha256(statement), until });
  const asking = { statement, action: `/authorize/${asked.uid}`, button: words.signAndAllow, fields: { answer: 'sign' } };
  const form = signForm(session, await own.keysOf(session.patient), asking, patientWords[language]);
  const names = await namesOf(own.gateFor(session.caller), own, [deviceOf(client), custodian]);
  const content = html`${whoAsks({ asked, user: session.patient, language, runBy: await runBy(own, patient) })}
<p>${words.youSign}</p>
${termsOf(statement, { language, words: patientWords[language], patient: session.patient }, names)}
<p>${words.narrower}</p>
<ul>${narrowed.scopes.map((scope) => html`<li>${scopeWords(scope, language, 'own')}</li>`)}</ul>
${form}
<p class="way"><a href="/authorize/${asked.uid}">${words.back}</a></p>
${denyForm(asked.uid, language)}`;
  return { kind: 'shown', title: words.signTitle, content };
}

/** Of the organization that keeps the record; undefined where the record does not say. */
async function custodianOf(gate: Gate, { patient }: PatientSession): Promise<string | undefined> {
  const found = await gate.read('Patient', patient.slice('Patient/'.length));
  const stored = found.kind === 'found' ? (JSON.parse(found.row.body) as { readonly managingOrganization?: { readonly reference?: unknown } }) : {};
  const reference = stored.managingOrganization?.reference;
  return typeof reference === 'string' && /^Organization\/[A-Za-z0-9.-]{1,64}$/.test(reference) ? reference : undefined;
}

const ASKED_FOR_MS = 7 * 86_400_000;

type Made = Pick<ReturnType<typeof appConsent>, 'consent' | 'until'>;

/** The statement to sign and the id of its Consent. Where the custodian signs as well it is the app's request, which the custodian finds. */
async function stated(
  { gateFor, approvals, clock }: OwnRecord,
  { asked, session, language }: Asked,
  { consent, until }: Made,
): Promise<{ readonly id: string; readonly statement: string }> {
  const gate = gateFor(session.caller);
  if (approvals === 'patient') {
    const prepared = await gate.prepareConsent({ consent, language });
    return { id: String((JSON.parse(prepared.consent) as { readonly id: unknown }).id), statement: prepared.statement };
  }
  const deadline = Math.min(until, clock() + ASKED_FOR_MS);
  const task = await gateFor(appItself(asked)).requestConsent({ consent, language, deadline });
  const { focus } = JSON.parse(task.body) as { readonly focus: { readonly reference: string } };
  const id = focus.reference.slice('Consent/'.length);
  const known = await gate.statementOf(id);
  if (!known) throw new AssentError('conflict');
  return { id, statement: known.statement };
}

/** The app, for which this server asks as it was asked to. */
function appItself({ client, purpose }: AppRequest): Caller {
  return { client: client.id, actor: deviceOf(client), purpose, scopes: [], admin: false, choosesIds: false, tokenId: '' };
}
