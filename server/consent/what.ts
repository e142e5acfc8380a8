/**
 * The *what* of a provision as an expression over facets: labels, class, code, time. consent.md §2 rules 2, 8–10
 *
 * A permit reaches only what it certainly means; a deny reaches everything it may mean.
 */
import { all, and, any, encodeInstant, type Expression, none, not, or } from '../search/expression.ts';
import { HIGHEST_RANK, sensitivityClosure } from './code-systems.ts';
import type { Provision, Span } from './compile.ts';
import { facet, SENSITIVITY, UNDATED, UNKNOWN_CODE, UNKNOWN_PART, WHEN } from './facets.ts';

export function whatExpression(provision: Provision, resourceType: string): Expression {
  return provision.type === 'permit' ? permitted(provision, resourceType) : denied(provision, resourceType);
}

function permitted({ labels, classes, codes, dataPeriod }: Provision, resourceType: string): Expression {
  return and([
    labels ? labelsPermitted(labels) : all,
    classes && !classes.includes(resourceType) ? none : all,
    codes ? any(codes.map(({ system, code }) => facet.primaryCode(system, code))) : all,
    dataPeriod ? insidePeriod(dataPeriod) : all,
    // Parts that are not known may be labelled or dated otherwise.
    labels || dataPeriod ? not(any([UNKNOWN_PART])) : all,
  ]);
}

/** What one part of a container has, the container has. */
function denied({ labels, classes, codes, dataPeriod }: Provision, resourceType: string): Expression {
  return and([
    labels ? labelsDenied(labels) : all,
    classes && !classes.includes(resourceType) ? any([...classes.map(facet.part), UNKNOWN_PART]) : all,
    codes ? any([...codes.map(({ system, code }) => facet.anyCode(system, code)), UNKNOWN_CODE, UNKNOWN_PART]) : all,
    dataPeriod ? touchesPeriod(dataPeriod) : all,
  ]);
}

type Labels = NonNullable<Provision['labels']>;

const ranks = (from: number, to: number): Expression => any(Array.from({ length: to - from + 1 }, (_, i) => facet.rank(from + i)));
const sensitivities = (labels: Labels): string[] =>
  labels.flatMap((label) => (label.kind === 'sensitivity' ? sensitivityClosure(label.code) : [])).map(facet.sensitivity);

/** A rank covers itself and below, whatever the sensitivity; sensitivities cover a resource only if they cover all of its codes. */
function labelsPermitted(labels: Labels): Expression {
  const covered = sensitivities(labels);
  const highest = Math.max(-1, ...labels.flatMap((label) => (label.kind === 'rank' ? [label.rank] : [])));
  return or([highest < 0 ? none : ranks(0, highest), and([any(covered), { kind: 'every', prefix: SENSITIVITY, keys: new Set(covered) }])]);
}

/** A rank reaches itself and above; one sensitivity of several is enough. */
export function labelsDenied(labels: Labels): Expression {
  const lowest = Math.min(HIGHEST_RANK + 1, ...labels.flatMap((label) => (label.kind === 'rank' ? [label.rank] : [])));
  const reached = or([lowest > HIGHEST_RANK ? none : ranks(lowest, HIGHEST_RANK), any(sensitivities(labels))]);
  return labels.length === 0 ? none : or([reached, any([UNKNOWN_PART])]);
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
