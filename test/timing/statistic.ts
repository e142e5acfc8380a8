/** Welch's t of two samples of times, cropped as dudect crops them: what is above the 90th percentile of both together says more of the machine. */
export type Compared = { readonly t: number; readonly medians: readonly [number, number]; readonly counts: readonly [number, number] };

/** Throws where there is too little to say anything. */
export function compared(first: readonly number[], second: readonly number[]): Compared {
  if (Math.min(first.length, second.length) < 30) throw new Error('Too few times to compare.');
  const limit = percentile([...first, ...second], 0.9);
  const [a, b] = [first, second].map((times) => moments(times.filter((time) => time <= limit))) as [Moments, Moments];
  const t = (a.mean - b.mean) / Math.sqrt(a.variance / a.count + b.variance / b.count);
  return { t, medians: [percentile(first, 0.5), percentile(second, 0.5)], counts: [first.length, second.length] };
}

type Moments = { readonly mean: number; readonly variance: number; readonly count: number };

function moments(times: readonly number[]): Moments {
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
  const variance = times.reduce((sum, time) => sum + (time - mean) ** 2, 0) / (times.length - 1);
  return { mean, variance, count: times.length };
}

function percentile(times: readonly number[], share: number): number {
  return times.toSorted((a, b) => a - b)[Math.floor((times.length - 1) * share)] ?? Number.NaN;
}
