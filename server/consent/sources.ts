/**
 * Resources about which others decide as well: a Composition is labelled as what its sections speak of, a Binary is seen by whoever sees its
 * securityContext, a Provenance by whoever sees all its targets. consent.md §2 rules 8, 17, 18
 *
 * Invariant: without a look at the sources such a resource is shown to nobody; with one it is decided by what is found of them, and as if what cannot
 * be found were labelled and coded with everything. Pure.
 */
import { all, and, any, type Expression, holds, not, startsWith } from '../search/expression.ts';
import { type DecisionInput, notDenied } from './decide.ts';
import {
  ANY_CODE,
  AUTHOR,
  facet,
  HAS_CONTEXT,
  LABELLED_BY,
  PART,
  PART_AUTHOR,
  PART_IS,
  PART_REFERS_TO,
  PATIENT,
  RANK,
  REFERENCES_KEPT,
  REFERS_TO,
  SEALED,
  SENSITIVITY,
  SOURCE,
  UNKNOWN_CODE,
  UNKNOWN_PART,
  UNKNOWN_PATIENT,
  UNKNOWN_SOURCE,
  WAS,
  WHEN,
} from './facets.ts';

export type Row = { readonly type: string; readonly id: string; readonly keys: readonly string[]; readonly deleted: boolean };

/** By `Type/id`; what is not there cannot be found. */
export type Sources = ReadonlyMap<string, Row>;

export type Refinement = {
  /** What is decided without a look at sources. */
  readonly alone: Expression;
  /** What may be visible once its sources are looked at: of the resource's own keys. */
  readonly loose: Expression;
  readonly isVisible: (row: Row, sources: Sources) => boolean;
  /** Whose Consents it rests on besides those it names itself, by logical id. */
  readonly concerns: (row: Row, sources: Sources) => readonly string[];
};

/** `scopeOf`: what the caller may see of a type without a look at sources. Undefined: nothing else decides about this type. */
export function refinementOf(input: DecisionInput, scopeOf: (type: string) => Expression): Refinement | undefined {
  const { type, caller } = input;
  // What an administrator reads, and what a patient reads of signatures, rests on no source.
  if (caller.admin) return undefined;
  const isSeen = ({ type: of, id, keys, deleted }: Row, sources: Sources) => !deleted && holds(scopeOf(of), id, withParts(keys, sources));
  switch (type) {
    case 'Composition':
    case 'Bundle': {
      const loose = loosened(scopeOf(type), UNKNOWN_PART);
      // By whatever its sections speak of it may be about somebody else.
      const alone = not(any([UNKNOWN_PART]));
      return { alone, loose, isVisible: (row, sources) => holds(scopeOf(type), row.id, withParts(row.keys, sources)), concerns: () => [] };
    }
    case 'Binary': {
      const own = notDenied(input);
      const isVisible = (row: Row, sources: Sources) => {
        const [context] = sourcesOf(row, sources) ?? [];
        if (context === undefined || !isSeen(context, sources)) return false;
        return holds(own, row.id, [...row.keys, ...withParts(context.keys, sources).filter(isAboutWhom)]);
      };
      return { alone: all, loose: any([HAS_CONTEXT]), isVisible, concerns };
    }
    case 'Provenance': {
      const own = notDenied(input);
      const isVisible = (row: Row, sources: Sources) => {
        const targets = sourcesOf(row, sources);
        if (!targets?.every((target) => isSeen(target, sources))) return false;
        // A target may have come after it.
        return holds(own, row.id, [...row.keys, ...targets.flatMap((target) => withParts(target.keys, sources).filter(isAboutWhom))]);
      };
      return { alone: all, loose: startsWith(SOURCE), isVisible, concerns };
    }
    default:
      return undefined;
  }
}

const concerns: Refinement['concerns'] = (row, sources) => patientsNamed(sourcesOf(row, sources) ?? []);

function patientsNamed(rows: readonly Row[]): readonly string[] {
  return rows.flatMap(({ keys }) => keys.flatMap((key) => (key.startsWith(PATIENT) ? [key.slice(PATIENT.length)] : [])));
}

function isAboutWhom(key: string): boolean {
  return key.startsWith(PATIENT) || key === UNKNOWN_PATIENT;
}

/** References of what decides about it. */
export function sourceReferences(keys: readonly string[]): readonly string[] {
  return keys.flatMap((key) => (key.startsWith(SOURCE) ? [key.slice(SOURCE.length)] : []));
}

/** Undefined: one leads nowhere. */
function sourcesOf({ keys }: Row, sources: Sources): readonly Row[] | undefined {
  const found = sourceReferences(keys).map((reference) => sources.get(reference));
  return keys.includes(UNKNOWN_SOURCE) || found.length === 0 || found.some((source) => !source)
    ? undefined
    : found.filter((source) => source !== undefined);
}

/** Of a source that is a part: what a deny looks at. */
const INHERITED = [SENSITIVITY, WHEN, ANY_CODE, PART_REFERS_TO, PART, PART_IS, PART_AUTHOR];

/** The keys of a container with those of its parts, as far as they are known; of anything else its own. What was deleted is no part any more. */
export function withParts(own: readonly string[], sources: Sources): readonly string[] {
  if (!own.includes(UNKNOWN_PART)) return own;
  const references = sourceReferences(own);
  const found = references.map((reference) => sources.get(reference));
  const parts = found.filter((source) => source !== undefined).filter(({ deleted }) => !deleted);
  const about = parts.flatMap((part) => part.keys.filter(isAboutWhom));
  if (own.includes(UNKNOWN_SOURCE) || found.some((source) => !source)) return [...own, ...about];
  // Labelled by the rules that all of its parts are labelled by, and of known references where theirs are.
  const isShared = (key: string) => key.startsWith(LABELLED_BY) || key === REFERENCES_KEPT;
  const isKept = (key: string) => !isShared(key) || parts.every((part) => part.keys.includes(key) || part.keys.includes(SEALED));
  const keys = new Set([...own, ...about].filter((key) => key !== UNKNOWN_PART && !key.startsWith(RANK) && isKept(key)));
  for (const part of parts) for (const key of part.keys) for (const inherited of inheritedFrom(key)) keys.add(inherited);
  const ranks = [own, ...parts.map((part) => part.keys)].flatMap((all) => all.filter((key) => key.startsWith(RANK)));
  keys.add(facet.rank(Math.max(...ranks.map((key) => Number(key.slice(RANK.length))))));
  return [...keys];
}

function inheritedFrom(key: string): readonly string[] {
  if (key.startsWith(WAS)) return inheritedFrom(key.slice(WAS.length));
  if (key.startsWith(AUTHOR)) return [facet.partAuthor(key.slice(AUTHOR.length))];
  if (key.startsWith(REFERS_TO)) return [facet.partRefersTo(key.slice(REFERS_TO.length))];
  // A part whose own parts are not known is not known.
  return key === UNKNOWN_CODE || key === UNKNOWN_PART || INHERITED.some((prefix) => key.startsWith(prefix)) ? [key] : [];
}

/**
 * What the expression may still come to once it is known whether a resource that has this key keeps it: the key counts where it lets the resource in,
 * and not where it keeps it out.
 */
function loosened(expression: Expression, key: string, isNegated = false): Expression {
  switch (expression.kind) {
    case 'any': {
      if (!isNegated) return expression;
      const keys = new Set(expression.keys);
      keys.delete(key);
      return any(keys);
    }
    case 'and':
      return and(expression.of.map((part) => loosened(part, key, isNegated)));
    case 'or':
      return { kind: 'or', of: expression.of.map((part) => loosened(part, key, isNegated)) };
    case 'not':
      return { kind: 'not', of: loosened(expression.of, key, !isNegated) };
    default:
      return expression;
  }
}
