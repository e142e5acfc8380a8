/**
 * Where the authorization server's endpoints are, and the documents that say so. Absolute URLs, made from the public URL and never from
 * a Host header. https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html, https://www.rfc-editor.org/rfc/rfc8414
 *
 * Invariant: only what works (and is tested) is advertised.
 */

export const authPaths = { prefix: '/auth', token: '/auth/token', jwks: '/auth/jwks' } as const;

export const assertionAlgorithms = ['ES384', 'RS384'] as const;
export const clientAuthMethods = ['client_secret_basic', 'private_key_jwt'] as const;

/** `publicUrl`: origin (and path, behind a proxy) without a trailing slash. */
export type Endpoints = { readonly issuer: string; readonly token: string; readonly jwks: string; readonly fhir: string; readonly console: string };

export function endpointsOf(publicUrl: string): Endpoints {
  return {
    issuer: publicUrl,
    token: publicUrl + authPaths.token,
    jwks: publicUrl + authPaths.jwks,
    fhir: `${publicUrl}/fhir`,
    console: `${publicUrl}/`,
  };
}

export function smartConfiguration(endpoints: Endpoints): object {
  return {
    ...common(endpoints),
    capabilities: ['client-confidential-symmetric', 'client-confidential-asymmetric', 'permission-v1', 'permission-v2'],
  };
}

export function serverMetadata(endpoints: Endpoints): object {
  return {
    ...common(endpoints),
    response_types_supported: [],
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
    grant_types_supported: ['client_credentials'],
    scopes_supported: ['system/*.cruds', 'system/*.rs', 'system/*.read', 'system/*.write', 'system/*.*'],
  };
}
