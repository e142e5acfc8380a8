/**
 * Resources about which others decide as well: a Composition is labelled as what its sections speak of, a Binary is seen by whoever sees its
 * securityContext, a Provenance by whoever sees all its targets. consent.md §2 rules 8, 17, 18
 *
 * Invariant: without a look at the sources such a resource is decided as if they were labelled and coded with everything; a look only ever finds out
 * more, and where a source cannot be found nothing changes. Pure.
 */
import { and, any, type Expression, holds, startsWith } from '../search/expression.ts';
import { type DecisionInput, notDenied } from './decide.ts';
import {
  ANY_CODE,
  facet,
  HAS_CONTEXT,
  LABELLED_BY,
  PART_IS,
  PATIENT,
  RANK,
  REFERS_TO,
  SEALED,
  SENSITIVITY,
  SOURCE,
  UNKNOWN_CODE,
  UNKNOWN_PART,
  UNKNOWN_SOURCE,
  WHEN,
} from './facets.ts';

export type Row = { readonly type: string; readonly id: string; readonly keys: readonly string[]; readonly deleted: boolean };

/** By `Type/id`; what is not there cannot be found. */
export type Sources = ReadonlyMap<string, Row>;

export type Refinement = {
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
  const isSeen = ({ type: of, id, keys, deleted }: Row) => !deleted && holds(scopeOf(of), id, keys);
  switch (type) {
    case 'Composition':
    case 'Bundle': {
      const loose = loosened(scopeOf(type), UNKNOWN_PART);
      return { loose, isVisible: (row, sources) => holds(scopeOf(type), row.id, withParts(row.keys, sources)), concerns: () => [] };
    }
    case 'Binary': {
      const own = notDenied(input);
      const isVisible = (row: Row, sources: Sources) => {
        const [context] = sourcesOf(row, sources) ?? [];
        return context !== undefined && isSeen(context) && holds(own, row.id, [...row.keys, ...patientsNamed([context]).map(facet.patient)]);
      };
      return { loose: any([HAS_CONTEXT]), isVisible, concerns };
    }
    case 'Provenance': {
      const own = notDenied(input);
      const isVisible = (row: Row, sources: Sources) => {
        const targets = sourcesOf(row, sources);
        return targets !== undefined && targets.every(isSeen) && holds(own, row.id, row.keys);
      };
      return { loose: startsWith(SOURCE), isVisible, concerns };
    }
    default:
      return undefined;
  }
}

const concerns: Refinement['concerns'] = (row, sources) => patientsNamed(sourcesOf(row, sources) ?? []);

function patientsNamed(rows: readonly Row[]): readonly string[] {
  return rows.flatMap(({ keys }) => keys.flatMap((key) => (key.startsWith(PATIENT) ? [key.slice(PATIENT.length)] : [])));
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
const INHERITED = [SENSITIVITY, WHEN, ANY_CODE, REFERS_TO, '~part/', PART_IS, '~pauthor/'];

/** The keys of a container that knows its parts; of anything else its own. What was deleted is no part any more. */
export function withParts(own: readonly string[], sources: Sources): readonly string[] {
  const references = sourceReferences(own);
  const found = references.map((reference) => sources.get(reference));
  if (own.includes(UNKNOWN_SOURCE) || found.some((source) => !source)) return own;
  const parts = found.filter((source) => source !== undefined).filter(({ deleted }) => !deleted);
  // Labelled by the rules that all of its parts are labelled by.
  const isKept = (key: string) => !key.startsWith(LABELLED_BY) || parts.every((part) => part.keys.includes(key) || part.keys.includes(SEALED));
  const keys = new Set(own.filter((key) => key !== UNKNOWN_PART && !key.startsWith(RANK) && isKept(key)));
  for (const part of parts) for (const key of part.keys) for (const inherited of inheritedFrom(key)) keys.add(inherited);
  const ranks = [own, ...parts.map((part) => part.keys)].flatMap((all) => all.filter((key) => key.startsWith(RANK)));
  keys.add(facet.rank(Math.max(...ranks.map((key) => Number(key.slice(RANK.length))))));
  return [...keys];
}

function inheritedFrom(key: string): readonly string[] {
  if (key.startsWith('~author/')) return [facet.partAuthor(key.slice('~author/'.length))];
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
