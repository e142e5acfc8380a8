/** What the published example Consents of R4 and IHE PCF are at our door, as they come: one meaning, two, or what is not handled. consent.md §2 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ambiguityOf } from '../../server/consent/ambiguity.ts';
import { renderDifference } from '../../server/consent/render.ts';
import { AssentError } from '../../server/errors.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { published } from '../support/published.ts';

const BEFORE_ALL_PERIODS = Date.UTC(2014, 0, 1);

function atTheDoor(file: string): string {
  try {
    const difference = ambiguityOf(JSON.parse(readFileSync(published(file), 'utf8')) as ResourceValue, BEFORE_ALL_PERIODS);
    return difference === undefined || difference === 'unknown' ? String(difference ?? 'one meaning') : renderDifference(difference, 'en');
  } catch (cause) {
    if (cause instanceof AssentError)
      return cause.issues.map(({ expression = [], diagnostics }) => `${expression.join()}: ${diagnostics}`).join('\n');
    throw cause;
  }
}

const verdicts: Readonly<Record<string, RegExp>> = {
  'r4-examples/Consent-consent-example-Emergency.json': /provision\.actor\[0\]\.role/,
  'r4-examples/Consent-consent-example-Out.json': /provision\.actor\[0\]\.role/,
  'r4-examples/Consent-consent-example-basic.json': /two ways.*exceptions to policyRule.*anyone else/,
  'r4-examples/Consent-consent-example-grantor.json': /provision\.actor\[0\]\.role/,
  'r4-examples/Consent-consent-example-notAuthor.json': /provision\.actor\[0\]\.role/,
  'r4-examples/Consent-consent-example-notOrg.json': /two ways.*exceptions to policyRule/,
  'r4-examples/Consent-consent-example-notThem.json': /two ways.*exceptions to policyRule/,
  'r4-examples/Consent-consent-example-notThis.json': /two ways.*Task\/example3/,
  'r4-examples/Consent-consent-example-notTime.json': /two ways.*exceptions to policyRule/,
  'r4-examples/Consent-consent-example-pkb.json': /two ways.*Organization\/f001.*stated types only/,
  'r4-examples/Consent-consent-example-signature.json': /provision\[0\]\.class\[0\]/,
  'r4-examples/Consent-consent-example-smartonfhir.json': /two ways.*MedicationRequest/,
  'pcf/Consent-ex-consent-advanced-normal.json': /two ways.*treatment \(TREAT\), labelled moderate \(M\).*exact labels/,
  'pcf/Consent-ex-consent-basic-reject.json': /^one meaning$/,
  'pcf/Consent-ex-consent-basic-treat.json': /^one meaning$/,
  'pcf/Consent-ex-consent-expired-treat.json': /^one meaning$/,
  'pcf/Consent-ex-consent-intermediate-timeframe.json': /^one meaning$/,
};

test.each(Object.entries(verdicts))('%s', (file, verdict) => expect(atTheDoor(file)).toMatch(verdict));

test('none is left out', () => {
  const files = ['r4-examples', 'pcf'].flatMap((folder) =>
    readdirSync(published(folder))
      .filter((name) => name.startsWith('Consent-'))
      .map((name) => `${folder}/${name}`),
  );
  expect(files.sort()).toEqual(Object.keys(verdicts).sort());
});
