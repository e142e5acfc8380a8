/** Apps at the door: the pages on which persons let them in, and the hospital's identity provider behind these. */
import { readFileSync } from 'node:fs';
import type { FastifyPluginAsync } from 'fastify';
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
import { type AuthorizePages, authorizePages } from '../web/authorize/plugin.ts';
import { html } from '../web/html.ts';
import { page, pageHeaders } from '../web/layout.ts';
import type { PatientCookies } from '../web/patient/sessions.ts';

type Parts = {
  readonly config: Config;
  readonly records: RecordStore;
  readonly interactions: Authorization['interactions'];
  readonly appConsents: Authorization['appConsents'];
  readonly sessions: PatientCookies;
  readonly keysOf: AuthorizePages['keysOf'];
  readonly search: Pick<Search, 'plan'>;
  readonly gateFor: GateFor;
  readonly endpoints: Endpoints;
  readonly clock: Clock;
};

export function appPages(parts: Parts): FastifyPluginAsync {
  const { origin } = new URL(parts.endpoints.issuer);
  return authorizePages({ ...parts, approvals: parts.config.APPROVALS, upstream: upstreamOf(parts), origin });
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

export const problemPage: ProblemPage = ({ title, text }) => ({
  headers: pageHeaders,
  body: page(title, html`<p class="bad" role="alert">${text}</p><p>Nothing was sent to the app.</p>`),
});
