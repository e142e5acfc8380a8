/** What the server says it can, in `.well-known/smart-configuration`, is what tests show that it can: each capability names them. authorization.md §3 */
import { expect, test } from 'vitest';
import { endpointsOf, smartConfiguration } from '../../server/authz/endpoints.ts';
import { missingAmong, type Tests } from '../support/named-tests.ts';

const [LAUNCH, CLIENTS, EXPIRY, BROWSER] = ['authz/app-launch.test.ts', 'authz/app-clients.test.ts', 'authz/app-expiry.test.ts', 'e2e/apps.test.ts'];
const byItself = 'a clinician lets an app into one patient’s record: the token holds the patient, and nothing of another one';
const byEhr = 'opens an app for the patient, the encounter and the person at work; once';
const byCode = 'of an app %s: code, ID token, refresh, introspection, revocation';
const granular = 'a granular scope is part of every query; several on one type are a union, each with its own rule';

const shown: Readonly<Record<string, Tests>> = {
  'launch-ehr': [
    [LAUNCH, byEhr],
    [BROWSER, 'opened by a record system: for the patient that is open there, with no question for one'],
  ],
  'launch-standalone': [
    [LAUNCH, byItself],
    [BROWSER, 'opened by itself: reads one patient’s record, renews the token without saying who it is, and reads on'],
  ],
  'authorize-post': [[LAUNCH, 'aud may end in a slash, and the request may be a form']],
  'client-public': [[CLIENTS, 'that keeps no secret', byCode]],
  'client-confidential-symmetric': [[CLIENTS, 'with a secret', byCode]],
  'client-confidential-asymmetric': [[CLIENTS, 'with a key for ES384', 'with a key for RS384', byCode]],
  'sso-openid-connect': [[CLIENTS, byCode]],
  'context-banner': [[LAUNCH, byEhr]],
  'context-style': [[LAUNCH, byEhr]],
  'context-ehr-patient': [[LAUNCH, byEhr, 'is for one app and one person']],
  'context-ehr-encounter': [[LAUNCH, byEhr]],
  'context-standalone-patient': [[LAUNCH, byItself]],
  'permission-offline': [[EXPIRY, 'offline access: ninety days after the approval, however often it is refreshed']],
  'permission-online': [[EXPIRY, 'online access: twelve hours after the last refresh']],
  'permission-patient': [[LAUNCH, byItself]],
  'permission-user': [[LAUNCH, granular]],
  'permission-v1': [[CLIENTS, 'reads scopes of version 1']],
  'permission-v2': [[LAUNCH, granular]],
};

test('every capability is shown by tests, and none is claimed beside them', () => {
  const { capabilities } = smartConfiguration(endpointsOf('https://fhir.example.org')) as { readonly capabilities: readonly string[] };
  expect(capabilities.toSorted()).toEqual(Object.keys(shown).toSorted());
  expect(missingAmong(Object.values(shown).flat())).toEqual([]);
});
