/** The packages of FHIR definitions on board, and what follows from them by the settings: the same for the server and for commands that look at its database. */
import { fileURLToPath } from 'node:url';
import type { Config } from '../config.ts';
import { createLabelling, type Labelling } from '../consent/labelling.ts';
import { loadPackages, type Package } from '../validation/packages/package.ts';
import type { SearchTerms } from '../validation/search-terms.ts';
import { sensitiveCodes } from '../validation/sensitive-codes.ts';

/** The profiles and operations this server publishes itself. */
const OWN_PACKAGE = fileURLToPath(new URL('../../fhir-profiles', import.meta.url));

export function packagesOf({ PACKAGES: paths }: Pick<Config, 'PACKAGES'>): Promise<readonly Package[]> {
  return loadPackages([OWN_PACKAGE, ...paths]);
}

export function labellingOf(config: Pick<Config, 'SENSITIVE_VALUE_SETS'>, packages: readonly Package[], terms: SearchTerms): Labelling {
  return createLabelling(sensitiveCodes(config.SENSITIVE_VALUE_SETS, packages, terms));
}
