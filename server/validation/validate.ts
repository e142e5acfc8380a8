/**
 * The verdict on one resource: JSON schema → StructureDefinition → base rules, on the thread that calls. fhir.md §4
 *
 * Invariant: every issue says where (FHIRPath) and what to do, and repeats nothing of what was sent.
 */
import type { Issue } from '../errors.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import { createDefinitions } from './definitions.ts';
import { createProfileStep, type ProfileStep } from './profile.ts';
import { applyRules, type Inner } from './rules.ts';
import { createSchemaStep, type SchemaStep } from './schema.ts';

export type Check = {
  /** Issues in the order found; empty when the resource is acceptable. */
  check(document: ResourceDocument): Issue[];
  /** Reads and compiles what a resource of this type needs, so that the first one does not pay for it. */
  warm(resourceType: string): void;
};

/** More than anyone reads; bounds what a hostile body can make us remember. */
const MOST_ISSUES = 200;
/** Above this many characters the schema step stops at its first finding. */
const THOROUGH_UP_TO = 65_536;

/** Cheap to make: definitions are read at the first check. */
export function createCheck(): Check {
  let steps: Steps | undefined;
  const ready = (): Steps => (steps ??= createSteps());
  return {
    check(document) {
      const known = ready();
      try {
        return judge(known, document);
      } catch {
        // Libraries judge here; what makes one of them fail has not been judged, and what is not judged is refused.
        return [
          {
            code: 'processing',
            diagnostics: 'This resource could not be checked against its definition.',
            expression: [document.value.resourceType],
          },
        ];
      }
    },
    warm(resourceType) {
      ready().profile.load(resourceType);
      if (ready().schema.knows(resourceType)) ready().schema.check(resourceType, {}, true);
    },
  };
}

type Steps = { readonly schema: SchemaStep; readonly profile: ProfileStep };

function createSteps(): Steps {
  const definitions = createDefinitions();
  return { schema: createSchemaStep(definitions), profile: createProfileStep(definitions) };
}

function judge({ schema, profile }: Steps, { value, text }: ResourceDocument): Issue[] {
  const { resources, findings } = applyRules(value, MOST_ISSUES);
  const unknown = resources.filter(({ value: { resourceType } }) => !schema.knows(resourceType) || !profile.load(resourceType));
  const { resourceType: root } = value;
  const issue = (path: Inner['path'], diagnostics: string, code: string | undefined): Issue => ({
    ...(code ? { code } : {}),
    diagnostics,
    expression: [profile.locate(root, path, unknown.some(({ path: at }) => at.length === 0) ? 'resourceType' : root)],
  });
  if (unknown.length > 0)
    return unknown.slice(0, MOST_ISSUES).map(({ path }) => issue(path, 'R4 has no resource type of this name.', 'not-supported'));
  const shape = resources.flatMap(({ path, value: inner }) =>
    schema.check(inner.resourceType, inner, text.length <= THOROUGH_UP_TO).map((found) => ({
      ...issue([], found.diagnostics, found.code),
      expression: [profile.locate(inner.resourceType, found.path, profile.locate(root, path))],
    })),
  );
  // The second step relies on the shape the first one proves.
  const meaning: Issue[] =
    shape.length > 0
      ? []
      : profile.check(value).map(({ expression, diagnostics, code }) => ({ ...(code ? { code } : {}), diagnostics, expression: [expression] }));
  const rules = findings.map((found) => issue(found.path, found.diagnostics, found.code));
  return [...shape, ...meaning, ...withoutRepeats(rules, [...shape, ...meaning])].slice(0, MOST_ISSUES);
}

/** A place that an earlier step already complained about is not named again. */
function withoutRepeats(issues: readonly Issue[], earlier: readonly Issue[]): Issue[] {
  const places = new Set(earlier.flatMap(({ expression = [] }) => expression));
  return issues.filter(({ expression: [place = ''] = [] }) => !places.has(place));
}
