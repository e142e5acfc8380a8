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

export function whatExpression(provision: Provision, about: About): Expression {
  return provision.type === 'permit' ? permitted(provision, about) : denied(provision, about);
}

function permitted({ labels, classes, codes, dataPeriod, data }: Provision, about: About): Expression {
  const { type: resourceType } = about;
  return and([
    labels ? and([labelsPermitted(labels), hasLabelsOf(about)]) : all,
    classes && !classes.includes(resourceType) ? none : all,
    codes ? any(codes.map(({ system, code }) => facet.primaryCode(system, code))) : all,
    dataPeriod ? insidePeriod(dataPeriod) : all,
    // Parts that are not known may be labelled or dated otherwise.
    labels || dataPeriod ? not(any([UNKNOWN_PART])) : all,
    data ? or(data.map((each) => dataPermitted(each, about))) : all,
  ]);
}

/** What one part of a container has, the container has. */
function denied({ labels, classes, codes, dataPeriod, data }: Provision, about: About): Expression {
  const { type: resourceType } = about;
  return and([
    labels ? labelsDenied(labels, about) : all,
    classes && !classes.includes(resourceType) ? any([...classes.map(facet.part), UNKNOWN_PART]) : all,
    codes ? any([...codes.map(({ system, code }) => facet.anyCode(system, code)), UNKNOWN_CODE, UNKNOWN_PART]) : all,
    dataPeriod ? touchesPeriod(dataPeriod) : all,
    data ? or(data.map((each) => dataDenied(each, resourceType))) : all,
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
      return or([isOneOf([reference], type), type === 'Bundle' ? none : any([facet.refersTo(reference)])]);
    case 'authoredby':
      return any([facet.author(reference)]);
  }
}

function dataDenied(data: Data, type: string): Expression {
  const { meaning, reference } = data;
  const unknown = or([any([UNKNOWN_PART]), not(any([REFERENCES_KEPT]))]);
  switch (meaning) {
    case 'instance':
      return holdsOneOf([reference], type);
    case 'related':
      return holdsOneOf([reference, ...data.reaches], type);
    case 'dependents':
      return or([holdsOneOf([reference], type), any([facet.refersTo(reference)]), unknown]);
    case 'authoredby':
      return or([any([facet.author(reference), facet.partAuthor(reference)]), unknown]);
  }
}

function isOneOf(references: readonly string[], type: string): Expression {
  const ids = references.flatMap((reference) => (reference.startsWith(`${type}/`) ? [reference.slice(type.length + 1)] : []));
  return ids.length === 0 ? none : { kind: 'id', ids: new Set(ids) };
}

/** Itself or a part of it. */
function holdsOneOf(references: readonly string[], type: string): Expression {
  return or([isOneOf(references, type), any(references.map(facet.partIs)), not(any([REFERENCES_KEPT]))]);
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
  const lowest = Math.min(HIGHEST_RANK + 1, ...labels.flatMap((label) => (label.kind === 'rank' ? [label.rank] : [])));
  const reached = or([lowest > HIGHEST_RANK ? none : ranks(lowest, HIGHEST_RANK), any(sensitivities(labels))]);
  return labels.length === 0 ? none : or([reached, any([UNKNOWN_PART]), not(hasLabelsOf(about))]);
}

/** Every date of the resource inside. */
function insidePeriod({ low, high }: Span): Expression {
  const before = { kind: 'interval', prefix: WHEN, low: { to: encodeInstant(low - 1) } } as const;
  const after = { kind: 'interval', prefix: WHEN, high: { from: encodeInstant(high + 1) } } as const;
  return not(or([any([UNDATED]), ...(Number.isFinite(low) ? [before] : []), ...(Number.isFinite(high) ? [after] : [])]));
}

/** A date that overlaps, or none at all. */
function touchesPeriod({ low, high }: Span): Expression {
  return or([any([UNDATED, UNKNOWN_PART]), { kind: 'interval', prefix: WHEN, low: { to: encodeInstant(high) }, high: { from: encodeInstant(low) } }]);
}
