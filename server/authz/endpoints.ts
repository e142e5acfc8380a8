/**
 * Where the authorization server's endpoints are, and the documents that say so. Absolute URLs, made from the public URL and never from
 * a Host header. https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html, https://www.rfc-editor.org/rfc/rfc8414
 *
 * Invariant: only what works (and is tested) is advertised.
 */
import { contextScopes } from './scopes.ts';

export const authPaths = {
  prefix: '/auth',
  token: '/auth/token',
  jwks: '/auth/jwks',
  authorize: '/auth/authorize',
  introspect: '/auth/introspect',
  revoke: '/auth/revoke',
  /** Where a person is asked (server/web/authorize). */
  page: '/authorize',
} as const;

export const assertionAlgorithms = ['ES384', 'RS384'] as const;
export const clientAuthMethods = ['client_secret_basic', 'private_key_jwt', 'none'] as const;

/** `publicUrl`: origin (and path, behind a proxy) without a trailing slash. */
export type Endpoints = {
  readonly issuer: string;
  readonly token: string;
  readonly authorize: string;
  readonly introspect: string;
  readonly revoke: string;
  readonly jwks: string;
  readonly fhir: string;
  readonly console: string;
  /** Where patients see who may read their record, and take it back. */
  readonly patient: string;
};

export function endpointsOf(publicUrl: string): Endpoints {
  return {
    issuer: publicUrl,
    token: publicUrl + authPaths.token,
    authorize: publicUrl + authPaths.authorize,
    introspect: publicUrl + authPaths.introspect,
    revoke: publicUrl + authPaths.revoke,
    jwks: publicUrl + authPaths.jwks,
    fhir: `${publicUrl}/fhir`,
    console: `${publicUrl}/`,
    patient: `${publicUrl}/patient`,
  };
}

export function smartConfiguration(endpoints: Endpoints): object {
  return {
    ...common(endpoints),
    management_endpoint: endpoints.patient,
    capabilities: [
      'launch-ehr',
      'launch-standalone',
      'authorize-post',
      'client-public',
      'client-confidential-symmetric',
      'client-confidential-asymmetric',
      'sso-openid-connect',
      'context-banner',
      'context-style',
      'context-ehr-patient',
      'context-ehr-encounter',
      'context-standalone-patient',
      'permission-offline',
      'permission-online',
      'permission-patient',
      'permission-user',
      'permission-v1',
      'permission-v2',
    ],
  };
}

export function serverMetadata(endpoints: Endpoints): object {
  return {
    ...common(endpoints),
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
  };
}

function common(endpoints: Endpoints): object {
  return {
    issuer: endpoints.issuer,
    jwks_uri: endpoints.jwks,
    token_endpoint: endpoints.token,
    token_endpoint_auth_methods_supported: clientAuthMethods,
    token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    authorization_endpoint: endpoints.authorize,
    introspection_endpoint: endpoints.introspect,
    revocation_endpoint: endpoints.revoke,
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    claims_supported: ['sub', 'fhirUser'],
    scopes_supported: [
      ...contextScopes,
      ...['patient', 'user'].flatMap((context) => [`${context}/*.rs`, `${context}/*.read`]),
      ...['cruds', 'rs', 'read', 'write', '*'].map((letters) => `system/*.${letters}`),
    ],
  };
}
