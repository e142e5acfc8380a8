/**
 * The verdict on one resource: its shape → the published invariants → rules of single types → profiles, on the thread that calls. fhir.md §4
 *
 * Invariant: every issue says where (FHIRPath) and what to do, and repeats nothing of what was sent.
 */
import { loadDataType } from '@medplum/core';
import type { Issue } from '../errors.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import { createDefinitions, type Definitions } from './definitions.ts';
import { createInvariantStep, type InvariantStep } from './invariants.ts';
import { type ClaimStep, createClaimStep, type Packages } from './packages/claims.ts';
import { withPackages } from './packages/terms.ts';
import { expressionOf } from '../fhir/place.ts';
import type { Finding } from './finding.ts';
import { ruleFindings } from './rules.ts';
import { createShapes, type Shapes } from './shapes.ts';
import { createStructureStep, type StructureStep } from './structure.ts';
import { createValueSets } from './value-sets.ts';

export type Check = {
  /**
   * Errors, then advice, each in the order found; the resource is acceptable when there is no error. `profiles`: canonical addresses it must
   * meet besides those it claims itself.
   */
  check(document: ResourceDocument, profiles?: readonly string[]): Issue[];
  /** Reads and compiles what a resource of this type needs, so that the first one does not pay for it. */
  warm(resourceType: string): void;
};

/** More than anyone reads; bounds what a hostile body can make us remember. */
const MOST_ISSUES = 200;

export const NO_PACKAGES: Packages = { packages: [], unknownProfiles: 'accept' };

/** Cheap to make: definitions are read at the first check. */
export function createCheck(packages: Packages = NO_PACKAGES): Check {
  let steps: Steps | undefined;
  const ready = (): Steps => (steps ??= createSteps(packages));
  return {
    check(document, profiles = []) {
      const known = ready();
      try {
        return judge(known, document, profiles);
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
    warm: (resourceType) => void ready().shapes.resource(resourceType),
  };
}

type Steps = { readonly shapes: Shapes; readonly structure: StructureStep; readonly invariants: InvariantStep; readonly claims: ClaimStep };

type Core = { readonly definitions: Definitions; readonly shapes: Shapes; readonly invariants: InvariantStep };

let core: Core | undefined;

/** R4 itself, which is the same for every check of this thread, whatever its packages: read and compiled once. */
function readCore(): Core {
  const definitions = createDefinitions();
  const dataTypes = definitions.dataTypes();
  // FHIRPath looks types up in the library's own table.
  for (const definition of dataTypes) loadDataType(definition);
  const structure = (type: string): ReturnType<Definitions['structure']> => {
    const definition = definitions.structure(type);
    if (definition) loadDataType(definition);
    return definition;
  };
  return { definitions, shapes: createShapes({ structure, dataTypes }), invariants: createInvariantStep() };
}

function createSteps(packages: Packages): Steps {
  core ??= readCore();
  const { definitions, shapes, invariants } = core;
  const valueSets = withPackages(createValueSets(), packages.packages);
  return {
    shapes,
    structure: createStructureStep({ shapes, valueSets, most: MOST_ISSUES }),
    invariants,
    claims: createClaimStep({ ...packages, shapes, valueSets, core: definitions.profile, most: MOST_ISSUES }),
  };
}

function judge({ structure, invariants, claims }: Steps, { value }: ResourceDocument, profiles: readonly string[]): Issue[] {
  const walk = structure(value);
  const findings = [...walk.findings];
  let errors = 0;
  // Invariants and rules rely on the shape that the walk proves.
  for (const visit of walk.failed ? [] : walk.visits) {
    const found = [...invariants(visit), ...ruleFindings(visit), ...claims(visit, visit.place.up ? [] : profiles)];
    findings.push(...found);
    errors += found.filter(isError).length;
    if (errors >= MOST_ISSUES) break;
  }
  const ordered = [...findings.filter(isError), ...findings.filter((finding) => !isError(finding))];
  return distinct(ordered.slice(0, MOST_ISSUES).map(issueOf));
}

/** Two profiles, or an extension and the slice it is in, often ask the same: a place and its words are said once. */
function distinct(issues: readonly Issue[]): Issue[] {
  const seen = new Set<string>();
  return issues.filter(({ severity = 'error', expression = [], diagnostics }) => {
    const name = `${severity} ${expression[0]} ${diagnostics}`;
    return !seen.has(name) && seen.add(name);
  });
}

function isError({ severity }: Finding): boolean {
  return severity === undefined;
}

function issueOf({ place, diagnostics, code, severity }: Finding): Issue {
  return { ...(severity ? { severity } : {}), code, diagnostics, expression: [expressionOf(place)] };
}
