/**
 * Resources about which others decide as well: a Composition is labelled as what its sections speak of, a Binary is seen by whoever sees its
 * securityContext, a Provenance by whoever sees all its targets. consent.md §2 rules 8, 17, 18
 *
 * Invariant: without a look at the sources such a resource is shown to nobody; with one it is decided by what is found of them, and as if what cannot
 * be found were labelled and coded with everything. Pure.
 */
import { all, and, any, type Expression, holds, none, not, or, startsWith } from '../search/expression.ts';
import { HIGHEST_RANK } from './code-systems.ts';
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
  /** What is visible of the versions that rest on these references, once those are looked at: of the version's own keys. */
  readonly once: (references: readonly string[], sources: Sources) => Expression;
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
      const scope = scopeOf(type);
      // By whatever its sections speak of it may be about somebody else.
      const alone = not(any([UNKNOWN_PART]));
      const once: Refinement['once'] = (references, sources) => {
        const { partly, wholly } = takenFrom(references, sources);
        // The one where another part leads nowhere.
        return or([and([any([UNKNOWN_SOURCE]), ofOwnKeys(scope, partly)]), and([not(any([UNKNOWN_SOURCE])), ofOwnKeys(scope, wholly ?? partly)])]);
      };
      return { alone, loose: loosened(scope, UNKNOWN_PART), once, concerns };
    }
    case 'Binary':
    case 'Provenance': {
      const own = notDenied(input);
      const once: Refinement['once'] = (references, sources) => {
        const rests = references.map((reference) => sources.get(reference));
        const seen = rests.filter((source) => source !== undefined).filter((source) => isSeen(source, sources));
        if (seen.length === 0 || seen.length < rests.length) return none;
        // A target may have come after it.
        const adds = new Set(seen.flatMap(({ keys }) => withParts(keys, sources).filter(isAboutWhom)));
        return and([not(any([UNKNOWN_SOURCE])), ofOwnKeys(own, { ...unchanged, adds })]);
      };
      return { alone: all, loose: type === 'Binary' ? any([HAS_CONTEXT]) : startsWith(SOURCE), once, concerns };
    }
    default:
      return undefined;
  }
}

const concerns: Refinement['concerns'] = ({ keys }, sources) => {
  const rests = sourceReferences(keys).map((reference) => sources.get(reference));
  const named = rests.flatMap((source) => (source && !source.deleted ? withParts(source.keys, sources) : []));
  return [...new Set(named.flatMap((key) => (key.startsWith(PATIENT) ? [key.slice(PATIENT.length)] : [])))];
};

function isAboutWhom(key: string): boolean {
  return key.startsWith(PATIENT) || key === UNKNOWN_PATIENT;
}

/** References of what decides about it. */
export function sourceReferences(keys: readonly string[]): readonly string[] {
  return keys.flatMap((key) => (key.startsWith(SOURCE) ? [key.slice(SOURCE.length)] : []));
}

/** Of a source that is a part: what a deny looks at. */
const INHERITED = [SENSITIVITY, WHEN, ANY_CODE, PART_REFERS_TO, PART, PART_IS, PART_AUTHOR];

/** What becomes of the keys of a resource once its sources are known. */
type Change = {
  readonly adds: ReadonlySet<string>;
  readonly drops: (key: string) => boolean;
  /** The highest of its parts: it has its own or this one, whichever is higher. */
  readonly rank: number | undefined;
};

const unchanged: Change = { adds: new Set(), drops: () => false, rank: undefined };

/**
 * What a container takes from its parts. `partly`: where one of them leads nowhere; `wholly`: undefined where one of these does. What was deleted is no
 * part any more.
 */
function takenFrom(references: readonly string[], sources: Sources): { readonly partly: Change; readonly wholly: Change | undefined } {
  const found = references.map((reference) => sources.get(reference));
  const parts = found.filter((source) => source !== undefined).filter(({ deleted }) => !deleted);
  const about = parts.flatMap((part) => part.keys.filter(isAboutWhom));
  const partly = { ...unchanged, adds: new Set(about) };
  if (found.some((source) => !source)) return { partly, wholly: undefined };
  // Labelled by the rules that all of its parts are labelled by, and of known references where theirs are.
  const isShared = (key: string) => key.startsWith(LABELLED_BY) || key === REFERENCES_KEPT;
  const isKept = (key: string) => !isShared(key) || parts.every((part) => part.keys.includes(key) || part.keys.includes(SEALED));
  const ranks = parts.flatMap(({ keys }) => keys.flatMap((key) => (key.startsWith(RANK) ? [Number(key.slice(RANK.length))] : [])));
  const wholly: Change = {
    adds: new Set([...about, ...parts.flatMap(({ keys }) => keys.flatMap(inheritedFrom))]),
    drops: (key) => key === UNKNOWN_PART || !isKept(key),
    rank: ranks.length === 0 ? undefined : Math.max(...ranks),
  };
  return { partly, wholly };
}

/** The keys of a container with those of its parts, as far as they are known; of anything else its own. */
export function withParts(own: readonly string[], sources: Sources): readonly string[] {
  if (!own.includes(UNKNOWN_PART)) return own;
  const { partly, wholly = partly } = takenFrom(sourceReferences(own), sources);
  const { adds, drops, rank } = own.includes(UNKNOWN_SOURCE) ? partly : wholly;
  const kept = own.filter((key) => !drops(key)).map((key) => (rank !== undefined && key.startsWith(RANK) ? raised(key, rank) : key));
  return [...new Set([...kept, ...adds])];
}

function raised(key: string, rank: number): string {
  return facet.rank(Math.max(Number(key.slice(RANK.length)), rank));
}

const RANKS = Array.from({ length: HIGHEST_RANK + 1 }, (_, rank) => facet.rank(rank));

/** What the keys of a resource have to be so that the expression holds once they are changed. Only `any` ever asks for what is dropped or raised. */
export function ofOwnKeys(expression: Expression, change: Change): Expression {
  const { adds, drops, rank } = change;
  switch (expression.kind) {
    case 'and':
      return and(expression.of.map((part) => ofOwnKeys(part, change)));
    case 'or':
      return or(expression.of.map((part) => ofOwnKeys(part, change)));
    case 'not':
      return not(ofOwnKeys(expression.of, change));
    case 'every':
      return holds(expression, '', [...adds]) ? expression : none;
    case 'any': {
      const { keys } = expression;
      for (const key of adds) if (keys.has(key)) return all;
      const ranked = rank !== undefined && RANKS.some((key) => keys.has(key));
      if (!ranked && !UNSURE.some((key) => keys.has(key) && drops(key)) && !rulesIn(keys).some(drops)) return expression;
      const asked = [...keys].filter((key) => !drops(key) && !(ranked && key.startsWith(RANK)));
      return any([...asked, ...(ranked ? RANKS.filter((key) => keys.has(raised(key, rank))) : [])]);
    }
    case 'all':
    case 'none':
    case 'id':
    case 'instants':
      return expression;
    default:
      return holds(expression, '', [...adds]) ? all : expression;
  }
}

const UNSURE = [UNKNOWN_PART, REFERENCES_KEPT];

/** Sets of a scope are asked for again and again, and some name every patient. */
const rules = new WeakMap<ReadonlySet<string>, readonly string[]>();
function rulesIn(keys: ReadonlySet<string>): readonly string[] {
  const known = rules.get(keys) ?? [...keys].filter((key) => key.startsWith(LABELLED_BY));
  rules.set(keys, known);
  return known;
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
