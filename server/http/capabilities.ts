/**
 * GET /fhir/metadata: what this server does, made from the table of routes.ts and the search registry, once for each state of it.
 * https://hl7.org/fhir/R4/capabilitystatement.html, SMART App Launch 2.2 §4
 */
import { resourceTypes } from '../fhir/resource-types.ts';
import { json } from './answer.ts';
import type { Answer, Route } from './interaction.ts';
import { typeOfRow } from './router.ts';
import type { Services } from './services.ts';

const cache = new WeakMap<Services, { readonly known: object; readonly answer: Answer }>();

export async function capabilities(services: Services): Promise<Answer> {
  const known = services.search.known();
  const kept = cache.get(services);
  const answer = kept?.known === known ? kept.answer : json(200, statement(services));
  cache.set(services, { known, answer });
  return { ...answer, headers: { ...answer.headers, 'cache-control': 'public, max-age=300' } };
}

function statement(services: Services): object {
  const system = operationsOf('', services.routes);
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: new Date(services.clock()).toISOString(),
    kind: 'instance',
    software: { name: 'Assent' },
    implementation: { description: 'FHIR R4 records, released only under the signed Consent of the patient.', url: services.base },
    fhirVersion: '4.0.1',
    format: ['application/fhir+json', 'application/fhir+xml', 'json', 'xml'],
    patchFormat: ['application/json-patch+json', 'application/fhir+json', 'application/fhir+xml'],
    rest: [
      {
        mode: 'server',
        security: security(services.oauth),
        resource: resourceTypes.map((type) => resource(type, services)),
        interaction: ['transaction', 'batch', ...systemInteractions(services.routes)].map((code) => ({ code })),
        ...(system.length > 0 ? { operation: system } : {}),
        compartment: COMPARTMENTS.map((name) => `http://hl7.org/fhir/CompartmentDefinition/${name}`),
      },
    ],
  };
}

function resource(type: string, { routes, search, limits, profiles, integrity }: Services): object {
  const operations = operationsOf(type, routes);
  const supportedProfile = profiles.get(type);
  const { forward, backward } = search.includesOf(type);
  return {
    type,
    ...(supportedProfile ? { supportedProfile } : {}),
    interaction: interactionsOf(routes).map((code) => ({ code })),
    versioning: 'versioned-update',
    readHistory: true,
    // Only clients registered for it may choose an id; the rest get the answer of a read. SECURITY.md
    updateCreate: true,
    conditionalCreate: true,
    conditionalRead: 'full-support',
    conditionalUpdate: true,
    conditionalDelete: limits.conditionalDeletes > 1 ? 'multiple' : 'single',
    referencePolicy: integrity ? ['literal', 'enforced'] : ['literal'],
    // Chains and _has lead over the same parameters, in either direction.
    ...(forward.length > 0 ? { searchInclude: ['*', ...forward] } : {}),
    searchRevInclude: ['*', ...backward],
    searchParam: [...search.parametersOf(type).map(({ name, kind }) => ({ name, type: kind })), ...EVERYWHERE],
    ...(operations.length > 0 ? { operation: operations } : {}),
  };
}

/** What a search of any type takes beside the parameters of its elements. https://hl7.org/fhir/R4/search.html#all */
const EVERYWHERE = [
  {
    name: '_filter',
    type: 'special',
    documentation: 'Criteria joined by and, or and not, with chains inside: https://hl7.org/fhir/R4/search_filter.html',
  },
  { name: '_list', type: 'special', documentation: 'What the List of this id refers to, in the view of the caller.' },
] as const;

/** Rows that hold for every type, as far as R4 has a code for them. */
function interactionsOf(routes: readonly Route[]): string[] {
  const names = routes.filter(({ path }) => path.startsWith('/:type')).map(({ interaction }) => interaction);
  return [...new Set(names)].filter((name) => !name.startsWith('$') && name !== 'search-compartment');
}

function systemInteractions(routes: readonly Route[]): string[] {
  return [...new Set(routes.filter(({ interaction }) => interaction.endsWith('-system')).map(({ interaction }) => interaction))];
}

/** Operations of a type: those of every type, and its own. `type` '': of the system. */
function operationsOf(type: string, routes: readonly Route[]): object[] {
  const rows = routes.filter(({ interaction }) => interaction.startsWith('$'));
  const offered = rows.filter((route) => (type !== '' && route.path.startsWith('/:type')) || typeOfRow(route, {}) === type);
  const names = [...new Set(offered.filter(({ path }) => type !== '' || path.startsWith('/$')).map(({ interaction }) => interaction.slice(1)))];
  return names.map((name) => ({ name, definition: definitionOf(`$${name}`, type, routes) }));
}

/**
 * Ours, also of the operations R4 defines: naming R4's own definition would claim all of it, and GET and POST for each.
 * https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.resource.operation.definition
 */
function definitionOf(interaction: string, type: string, routes: readonly Route[]): string {
  const rows = routes.filter((route) => route.interaction === interaction);
  const of = type !== '' && rows.some((route) => typeOfRow(route, {}) === type) ? type : 'Resource';
  return `urn:assent:operation:${of}-${interaction.slice(1)}`;
}

const COMPARTMENTS = ['patient', 'encounter', 'relatedPerson', 'practitioner', 'device'];

function security(oauth: Services['oauth']): object {
  return {
    cors: true,
    service: [
      {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/restful-security-service', code: 'SMART-on-FHIR' }],
        text: 'OAuth2 with SMART App Launch 2.2: apps of persons, and backend services',
      },
    ],
    extension: [
      {
        url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
        extension: (['token', 'authorize', 'introspect', 'revoke'] as const).map((url) => ({ url, valueUri: oauth[url] })),
      },
    ],
  };
}
