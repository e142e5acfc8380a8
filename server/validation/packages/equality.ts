/** fixed[x] and pattern[x] against a value. https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_ */
import { isObject } from '../../fhir/resource.ts';

export function equals(value: unknown, fixed: unknown): boolean {
  if (Array.isArray(fixed)) return Array.isArray(value) && value.length === fixed.length && fixed.every((item, i) => equals(value[i], item));
  if (!isObject(fixed)) return value === fixed;
  if (!isObject(value)) return false;
  const names = Object.keys(fixed);
  return Object.keys(value).length === names.length && names.every((name) => equals(value[name], fixed[name]));
}

/** Everything the pattern says is there; what it does not say may be there too. */
export function includes(value: unknown, pattern: unknown): boolean {
  if (Array.isArray(pattern)) return Array.isArray(value) && pattern.every((wanted) => value.some((item) => includes(item, wanted)));
  if (!isObject(pattern)) return value === pattern;
  return isObject(value) && Object.keys(pattern).every((name) => includes(value[name], pattern[name]));
}
