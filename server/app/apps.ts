/** Apps at the door: the pages on which persons let them in, and the hospital's identity provider behind these. */
import { readFileSync } from 'node:fs';
import type { FastifyPluginAsync } from 'fastify';
import type { LoggedKeys } from '../authz/logged-keys.ts';
import { createStaffSessions, STAFF_SESSION_MS } from '../authz/staff-sessions.ts';
import { createUpstream, type Upstream } from '../authz/upstream.ts';
import type { Authorization } from '../authz/authorization.ts';
import { authPaths, type Endpoints } from '../authz/endpoints.ts';
import type { ConsentStands } from '../authz/permissions.ts';
import type { ProblemPage } from '../authz/provider.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { GateFor } from '../consent/gate.ts';
import type { Search } from '../search/create-search.ts';
import type { RecordStore } from '../store/port.ts';
import { authorizePages } from '../web/authorize/plugin.ts';
import { authorizeWords } from '../web/authorize/words.ts';
import { createStaffCookies, type StaffPages, staffPages } from '../web/authorize/staff.ts';
import { html } from '../web/html.ts';
import { patientWords } from '../web/patient/words.ts';
import { languageOf } from '../web/language.ts';
import { page, pageHeaders } from '../web/layout.ts';
import type { PatientCookies } from '../web/patient/sessions.ts';

type Parts = {
  readonly config: Config;
  readonly records: RecordStore;
  readonly interactions: Authorization['interactions'];
  readonly appConsents: Authorization['appConsents'];
  readonly sessions: PatientCookies;
  readonly passkeys: StaffPages['passkeys'];
  readonly keys: Pick<LoggedKeys, 'get' | 'list'>;
  readonly clientName: (id: string) => Promise<string | undefined>;
  readonly search: Pick<Search, 'plan'>;
  readonly gateFor: GateFor;
  readonly endpoints: Endpoints;
  readonly clock: Clock;
};

export function appPages(parts: Parts): readonly FastifyPluginAsync[] {
  const { origin } = new URL(parts.endpoints.issuer);
  const staff = createStaffCookies({ sessions: createStaffSessions(parts), lifetimeMs: STAFF_SESSION_MS, origin });
  const shared = { ...parts, keysOf: parts.keys.list, staff, origin };
  return [authorizePages({ ...shared, approvals: parts.config.APPROVALS, upstream: upstreamOf(parts) }), staffPages(shared)];
}

/** Whether a patient's Consent permits something now. The patient is who is asked about. */
export function consentStands(gateFor: GateFor): ConsentStands {
  return (patient, consent) =>
    gateFor({ client: 'server', actor: patient, purpose: 'HOPERAT', scopes: [], admin: false, choosesIds: false, tokenId: '' }).permitsNow(consent);
}

/** Throws Error with a sentence when the file of the secret cannot be read. */
function upstreamOf({ config, records, endpoints, clock }: Parts): Upstream | undefined {
  if (config.OIDC_ISSUER === '') return undefined;
  const settings = {
    issuer: config.OIDC_ISSUER,
    clientId: config.OIDC_CLIENT_ID,
    clientSecret: readFileSync(config.OIDC_SECRET_PATH, 'utf8').trim(),
    scope: config.OIDC_SCOPE,
    claim: config.OIDC_USER_CLAIM,
  };
  return createUpstream({ settings, records, clock, fhir: endpoints.fhir, returnTo: `${endpoints.issuer}${authPaths.page}/return` });
}

export const problemPage: ProblemPage = ({ error, text, headers }) => {
  const language = languageOf(headers);
  const { titles, other, says, nothingSent } = authorizeWords[language].problems;
  const content = html`<p class="bad" role="alert">${says}</p><p>${nothingSent}</p><p class="soft" lang="en"><code>${text}</code></p>`;
  return {
    headers: { ...pageHeaders, vary: 'Accept-Language, Cookie' },
    body: page(titles[error] ?? other, content, { language, words: patientWords[language] }),
  };
};
