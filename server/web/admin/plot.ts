/**
 * Lines over time as SVG in the page, with their numbers as a table for whoever reads no picture. https://www.w3.org/TR/SVG2/
 * Invariant: no script and no style attribute, which the pages' policy forbids; colours are those of the page.
 */
import { type Html, html } from '../html.ts';

/** `at`: ms since 1970. In the order of time. */
export type Point = { readonly at: number; readonly value: number };
export type Line = { readonly name: string; readonly points: readonly Point[] };

const WIDTH = 640;
const HEIGHT = 200;
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 12, 12, 26];
/** Rows of the table: the picture has all of them. */
const MOST_ROWS = 12;

/** `title`: what is counted. */
export function plot(title: string, lines: readonly Line[]): Html {
  const points = lines.flatMap((line) => line.points);
  if (points.length < 2) return html`<figure><figcaption>${title}</figcaption><p class="soft">Too little is known yet to draw a line.</p></figure>`;
  const [from, to] = [Math.min(...points.map(({ at }) => at)), Math.max(...points.map(({ at }) => at))];
  const [least, most] = [Math.min(...points.map(({ value }) => value)), Math.max(...points.map(({ value }) => value))];
  const x = (at: number) => round(LEFT + ((at - from) / Math.max(1, to - from)) * (WIDTH - LEFT - RIGHT));
  const y = (value: number) => round(HEIGHT - BOTTOM - ((value - least) / Math.max(1, most - least)) * (HEIGHT - TOP - BOTTOM));
  const said = lines.map(({ name, points: of }) => `${name} from ${of[0]?.value ?? 0} to ${of.at(-1)?.value ?? 0}`).join('; ');
  return html`<figure>
<figcaption>${title}${lines.length > 1 ? html`: ${lines.map(({ name }, i) => html`<span class="key line-${i % 3}">${name}</span> `)}` : undefined}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}, ${label(from)} to ${label(to)}: ${said}">
<path class="axis" d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}"/>
<text x="${LEFT - 6}" y="${TOP + 8}" text-anchor="end">${short(most)}</text>
<text x="${LEFT - 6}" y="${HEIGHT - BOTTOM}" text-anchor="end">${short(least)}</text>
<text x="${LEFT}" y="${HEIGHT - 6}">${label(from)}</text>
<text x="${WIDTH - RIGHT}" y="${HEIGHT - 6}" text-anchor="end">${label(to)}</text>
${lines.map(({ points: of }, i) => html`<path class="line line-${i % 3}" d="${path(of, x, y)}"/>`)}
</svg>
${table(lines)}
</figure>`;
}

/** A value holds until the next one. */
function path(points: readonly Point[], x: (at: number) => number, y: (value: number) => number): string {
  return points.map(({ at, value }, i) => (i === 0 ? `M${x(at)} ${y(value)}` : `H${x(at)}V${y(value)}`)).join('');
}

function table(lines: readonly Line[]): Html {
  const times = [...new Set(lines.flatMap(({ points }) => points.map(({ at }) => at)))].toSorted((a, b) => a - b);
  const step = Math.max(1, Math.ceil(times.length / MOST_ROWS));
  const shown = times.filter((_, i) => i % step === 0 || i === times.length - 1);
  const valueAt = ({ points }: Line, at: number) => points.findLast((point) => point.at <= at)?.value ?? '';
  return html`<details><summary>As numbers</summary><table>
<thead><tr><th scope="col">Time (UTC)</th>${lines.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${shown.map((at) => html`<tr><th scope="row">${label(at)}</th>${lines.map((line) => html`<td>${valueAt(line, at)}</td>`)}</tr>`)}</tbody>
</table></details>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
const label = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ');

function short(value: number): string {
  if (value >= 1e6) return `${round(value / 1e6)} M`;
  return value >= 10_000 ? `${round(value / 1e3)} k` : String(value);
}
