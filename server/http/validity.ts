/** Validation before a write: a resource that breaks its definition is refused with every error found. fhir.md §4 */
import { AssentError, type Issue } from '../errors.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import type { Services } from './services.ts';

/** More issues than a person reads are cut, and the cut is said. */
const MOST_ISSUES = 50;

export async function refuseInvalid({ validate }: Pick<Services, 'validate'>, resource: ResourceDocument): Promise<void> {
  const [issues] = await validate([resource]);
  // No verdict is no permission.
  if (!issues) throw new AssentError('unavailable');
  const errors = errorsAmong(issues);
  if (errors.length > 0) throw invalid(errors);
}

/** What refuses a write; warnings and information do not. */
export function errorsAmong(issues: readonly Issue[]): Issue[] {
  return issues.filter(({ severity = 'error' }) => severity === 'error');
}

export function invalid(issues: readonly Issue[]): AssentError {
  const shown = issues.slice(0, MOST_ISSUES);
  const rest = issues.length - shown.length;
  return new AssentError('invalid-resource', rest === 0 ? shown : [...shown, { diagnostics: `${rest} more issues are not shown.` }]);
}
