/**
 * The *what* of a provision as an expression over facets: labels, class, code, time, single resources. consent.md §2 rules 2, 8–11
 *
 * A permit reaches only what it certainly means; a deny reaches everything it may mean.
 */
import { all, and, any, encodeInstant, type Expression, none, not, or } from '../search/expression.ts';
import { HIGHEST_RANK, sensitivityClosure } from './code-systems.ts';
import type { Data, Provision, Span } from './compile.ts';
import { facet, REFERENCES_KEPT, SEALED, SENSITIVITY, UNDATED, UNKNOWN_CODE, UNKNOWN_PART, WHEN } from './facets.ts';

/** `anchors`: of the resources that a `related` starts from, those that this caller may see now (rule 11). */
export type About = {
  readonly type: string;
  readonly anchors: ReadonlySet<string>;
  /** The rules that sensitivities have to be assigned by (labelling.ts); what was labelled by others may be as restricted as can be. Absent: by any. */
  readonly labelRules?: string | undefined;
};

/**
 * What a provision matches for certain, and what it may match where not all parts and labels of a resource are known. A permit matches `surely` and a deny
 * `perhaps`, and so does each what they stand in.
 */
export type Sureness = 'surely' | 'perhaps';

export function whatExpression(provision: Provision, about: About, how: Sureness): Expression {
  if (provision.type === 'permit') return permitted(provision, about, how);
  const perhaps = denied(provision, about, 'perhaps');
  // Once its parts are known, what may hold is what holds: so a look at them is worth its while (sources.ts).
  return how === 'perhaps' ? perhaps : and([perhaps, or([denied(provision, about, how), not(any([UNKNOWN_PART]))])]);
}

function permitted({ labels, classes, codes, dataPeriod, data }: Provision, about: About, how: Sureness): Expression {
  const { type: resourceType } = about;
  const certain = (match: Expression, known: Expression): Expression => (how === 'surely' ? and([match, known]) : or([match, not(known)]));
  return and([
    labels ? certain(labelsPermitted(labels), and([hasLabelsOf(about), not(any([UNKNOWN_PART]))])) : all,
    classes && !classes.includes(resourceType) ? none : all,
    codes ? any(codes.map(({ system, code }) => facet.primaryCode(system, code))) : all,
    // Parts that are not known may be labelled or dated otherwise.
    dataPeriod ? certain(insidePeriod(dataPeriod), not(any([UNKNOWN_PART]))) : all,
    data ? or(data.map((each) => dataPermitted(each, about))) : all,
  ]);
}

/** What one part of a container has, the container has. */
function denied({ labels, classes, codes, dataPeriod, data }: Provision, about: About, how: Sureness): Expression {
  const { type: resourceType } = about;
  const unknown = how === 'perhaps' ? [UNKNOWN_PART] : [];
  return and([
    labels ? (how === 'perhaps' ? labelsDenied(labels, about) : labelsReached(labels)) : all,
    classes && !classes.includes(resourceType) ? any([...classes.map(facet.part), ...unknown]) : all,
    codes ? any([...codes.map(({ system, code }) => facet.anyCode(system, code)), UNKNOWN_CODE, ...unknown]) : all,
    dataPeriod ? or([touchesPeriod(dataPeriod), any(unknown)]) : all,
    data ? or(data.map((each) => dataDenied(each, resourceType, how))) : all,
  ]);
}

function dataPermitted(data: Data, { type, anchors }: About): Expression {
  const { meaning, reference } = data;
  switch (meaning) {
    case 'instance':
      return isOneOf([reference], type);
    case 'related':
      return isOneOf(anchors.has(reference) ? [reference, ...data.reaches] : [reference], type);
    case 'dependents':
      // What one entry of a Bundle refers to says nothing of the others.
      return or([isOneOf([reference], type), type === 'Bundle' || type === 'Parameters' ? none : any([facet.refersTo(reference)])]);
    case 'authoredby':
      return any([facet.author(reference)]);
  }
}

function dataDenied(data: Data, type: string, how: Sureness): Expression {
  const { meaning, reference } = data;
  const unknown = how === 'perhaps' ? or([any([UNKNOWN_PART]), not(any([REFERENCES_KEPT]))]) : none;
  switch (meaning) {
    case 'instance':
      return holdsOneOf([reference], type, how);
    case 'related':
      return holdsOneOf([reference, ...data.reaches], type, how);
    case 'dependents':
      return or([holdsOneOf([reference], type, how), any([facet.refersTo(reference), facet.partRefersTo(reference)]), unknown]);
    case 'authoredby':
      return or([any([facet.author(reference), facet.partAuthor(reference)]), unknown]);
  }
}

function isOneOf(references: readonly string[], type: string): Expression {
  const ids = references.flatMap((reference) => (reference.startsWith(`${type}/`) ? [reference.slice(type.length + 1)] : []));
  return ids.length === 0 ? none : { kind: 'id', ids: new Set(ids) };
}

/** Itself or a part of it. */
function holdsOneOf(references: readonly string[], type: string, how: Sureness): Expression {
  const unknown = how === 'perhaps' ? not(any([REFERENCES_KEPT])) : none;
  return or([isOneOf(references, type), any(references.map(facet.partIs)), unknown]);
}

type Labels = NonNullable<Provision['labels']>;

const ranks = (from: number, to: number): Expression => any(Array.from({ length: to - from + 1 }, (_, i) => facet.rank(from + i)));
const sensitivities = (labels: Labels): string[] =>
  labels.flatMap((label) => (label.kind === 'sensitivity' ? sensitivityClosure(label.code) : [])).map(facet.sensitivity);

/** What the server signed or recorded says nothing that would be labelled. */
function hasLabelsOf({ labelRules }: Pick<About, 'labelRules'>): Expression {
  return labelRules === undefined ? all : any([facet.labelledBy(labelRules), SEALED]);
}

/** A rank covers itself and below, whatever the sensitivity; sensitivities cover a resource only if they cover all of its codes. */
function labelsPermitted(labels: Labels): Expression {
  const covered = sensitivities(labels);
  const highest = Math.max(-1, ...labels.flatMap((label) => (label.kind === 'rank' ? [label.rank] : [])));
  return or([highest < 0 ? none : ranks(0, highest), and([any(covered), { kind: 'every', prefix: SENSITIVITY, keys: new Set(covered) }])]);
}

/** A rank reaches itself and above; one sensitivity of several is enough. */
export function labelsDenied(labels: Labels, about: Pick<About, 'labelRules'>): Expression {
  return labels.length === 0 ? none : or([labelsReached(labels), any([UNKNOWN_PART]), not(hasLabelsOf(about))]);
}

/** By the labels that are known. */
function labelsReached(labels: Labels): Expression {
  const lowest = Math.min(HIGHEST_RANK + 1, ...labels.flatMap((label) => (label.kind === 'rank' ? [label.rank] : [])));
  return or([lowest > HIGHEST_RANK ? none : ranks(lowest, HIGHEST_RANK), any(sensitivities(labels))]);
}

/** Every date of the resource inside. */
function insidePeriod({ low, high }: Span): Expression {
  const before = { kind: 'interval', prefix: WHEN, low: { to: encodeInstant(low - 1) } } as const;
  const after = { kind: 'interval', prefix: WHEN, high: { from: encodeInstant(high + 1) } } as const;
  return not(or([any([UNDATED]), ...(Number.isFinite(low) ? [before] : []), ...(Number.isFinite(high) ? [after] : [])]));
}

/** A date that overlaps, or none at all. */
function touchesPeriod({ low, high }: Span): Expression {
  return or([any([UNDATED]), { kind: 'interval', prefix: WHEN, low: { to: encodeInstant(high) }, high: { from: encodeInstant(low) } }]);
}
