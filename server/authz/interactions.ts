/**
 * What a person is asked when an app wants in, and what follows from the answer. https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
 *
 * Invariants: granted is what was both asked for and approved; a patient lets apps into their own record only; what is bound to a patient is
 * granted with that patient or not at all; the app that an EHR opens for one person is approved by nobody else, and once; what a patient grants of
 * their record rests on a Consent of theirs for this app on these terms, which is in force.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors, type Provider } from 'oidc-provider';
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore, RecordValue } from '../store/port.ts';
import type { AppConsent, AppConsents } from './app-consents.ts';
import type { Clients } from './clients.ts';
import type { Endpoints } from './endpoints.ts';
import type { Context, Launches, OpenedApp } from './launches.ts';
import { APPROVED, type Approved, type ConsentStands } from './permissions.ts';
import { GRANT_SECONDS } from './provider.ts';
import { parseScope, wordsOf } from './scopes.ts';

/** An app that waits for an answer. */
export type AppRequest = {
  readonly uid: string;
  readonly client: { readonly id: string; readonly name: string; readonly actor: string };
  readonly redirectUri: string;
  /** patient/ and user/ scopes, cut down to the registration. */
  readonly scopes: readonly string[];
  /** openid, offline_access, launch/patient, … */
  readonly contexts: readonly string[];
  readonly purpose: string;
  /** By an EHR. */
  readonly opened: OpenedApp | undefined;
  /** Whether there has to be a patient for it. */
  readonly needsPatient: boolean;
};

/** `user`: FHIR reference of who is signed in. `patient`: logical id, of one this person may see. `consent`: what a patient's answer rests on. */
export type Answer = {
  readonly user: string;
  readonly patient?: string | undefined;
  readonly scopes: readonly string[];
  readonly consent?: AppConsent;
};

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse };

export type Interactions = {
  /** Undefined: it has run out, or it is another browser's. */
  find(exchange: Exchange): Promise<AppRequest | undefined>;
  /** Resolves with where to go on. Throws AssentError: forbidden, invalid-request, gone. */
  approve(exchange: Exchange, answer: Answer): Promise<string>;
  deny(exchange: Exchange): Promise<string>;
};

export type InteractionsDeps = {
  readonly provider: Provider;
  readonly records: RecordStore;
  readonly clients: Pick<Clients, 'find'>;
  readonly launches: Launches;
  readonly appConsents: Pick<AppConsents, 'signedOn'>;
  readonly consentStands: ConsentStands;
  readonly endpoints: Endpoints;
  readonly clock: Clock;
};

export function createInteractions(deps: InteractionsDeps): Interactions {
  const { provider } = deps;
  const find = (exchange: Exchange) => findRequest(deps, exchange);
  return {
    find: async (exchange) => (await find(exchange))?.asked,
    async approve(exchange, answer) {
      const found = await find(exchange);
      if (!found) throw new AssentError('gone', 'This request of the app has run out: open the app again.');
      const context = contextFor(found.asked, answer);
      await requireConsent(deps, found.asked, answer);
      if (found.launch !== undefined && !(await deps.launches.use(found.launch))) throw new AssentError('gone', 'The app was opened already.');
      const grantId = await keepGrant(deps, found.asked, { ...answer, context });
      const result = { login: { accountId: answer.user, remember: false }, consent: { grantId } };
      return provider.interactionResult(exchange.request, exchange.response, result, { mergeWithLastSubmission: false });
    },
    deny: ({ request, response }) =>
      provider.interactionResult(request, response, { error: 'access_denied', error_description: 'the person did not approve it' }),
  };
}

type Found = { readonly asked: AppRequest; readonly launch: string | undefined };

async function findRequest({ provider, clients, launches }: InteractionsDeps, { request, response }: Exchange): Promise<Found | undefined> {
  const { uid, params } = (await provider.interactionDetails(request, response).catch(undefinedIfOver)) ?? {};
  const text = (name: string) => (typeof params?.[name] === 'string' ? params[name] : undefined);
  const [id, redirectUri, launch] = [text('client_id'), text('redirect_uri'), text('launch')];
  const client = id === undefined ? undefined : await clients.find(id);
  if (uid === undefined || !client || redirectUri === undefined) return undefined;
  const opened = launch === undefined ? undefined : await launches.find(launch, client.client_id);
  if (launch !== undefined && !opened) return undefined;
  const words = wordsOf(text('scope') ?? '');
  const scopes = words.filter((word) => parseScope(word) !== undefined);
  const asked = {
    uid,
    client: { id: client.client_id, name: client.client_name, actor: client.actor },
    redirectUri,
    scopes,
    contexts: words.filter((word) => parseScope(word) === undefined),
    purpose: text('purpose_of_use') ?? client.purposes[0] ?? '',
    opened,
    needsPatient: words.includes('launch/patient') || scopes.some((word) => word.startsWith('patient/')),
  };
  return { asked, launch };
}

function undefinedIfOver(error: unknown): undefined {
  if (error instanceof errors.SessionNotFound) return undefined;
  throw error;
}

/** Throws where the answer does not fit what was asked. */
function contextFor({ opened, scopes, contexts }: AppRequest, answer: Answer): Context {
  const { user } = answer;
  if (opened?.user !== undefined && opened.user !== user)
    throw new AssentError('forbidden', 'The app was opened for somebody else than who is signed in.');
  if (answer.scopes.some((word) => !scopes.includes(word))) throw new AssentError('invalid-request', 'The app did not ask for this.');
  if (answer.scopes.length + contexts.length === 0) throw new AssentError('invalid-request', 'Nothing is left to allow.');
  const patient = opened?.context.patient ?? answer.patient;
  if (user.startsWith('Patient/') && patient !== undefined && user !== `Patient/${patient}`)
    throw new AssentError('forbidden', 'Patients let apps into their own record only.');
  const own = user.startsWith('Patient/') ? user.slice('Patient/'.length) : patient;
  const bound = answer.scopes.some((word) => word.startsWith('patient/')) || contexts.includes('launch/patient');
  if (bound && own === undefined) throw new AssentError('invalid-request', 'It takes a patient for whom the app is opened.');
  return { ...opened?.context, ...(own === undefined ? {} : { patient: own }) };
}

/** Throws AssentError('forbidden'): a patient's word alone opens nothing. */
async function requireConsent(
  { appConsents, consentStands }: InteractionsDeps,
  { client, purpose }: AppRequest,
  { user, scopes, consent }: Answer,
): Promise<void> {
  if (!user.startsWith('Patient/') || scopes.length === 0) return;
  const signed = consent ? await appConsents.signedOn({ client: client.id, patient: user, purpose, scopes, narrowed: consent.narrowed }) : [];
  const found = signed.find((each) => each.consent === consent?.consent);
  if (!found || !(await consentStands(user, found.consent))) throw new AssentError('forbidden', 'No Consent of yours for this app is in force.');
}

async function keepGrant(
  { provider, records, endpoints, clock }: InteractionsDeps,
  { client, contexts, purpose }: AppRequest,
  { user, scopes, context, consent }: Answer & { readonly context: Context },
): Promise<string> {
  const grant = new provider.Grant({ accountId: user, clientId: client.id });
  if (contexts.length > 0) grant.addOIDCScope(contexts.join(' '));
  if (scopes.length > 0) grant.addResourceScope(endpoints.fhir, scopes.join(' '));
  const id = await grant.save();
  const rests = consent && scopes.length > 0 ? { consent: consent.consent } : {};
  const approved: Approved = { user, purpose, context, ...rests };
  await records.put(APPROVED, id, approved as RecordValue, { expires: clock() + GRANT_SECONDS * 1000 });
  return id;
}
