/**
 * What an operator looks at: the log and its anchors over time, alarms, and jobs.
 * Invariant: names of ours, numbers and times only.
 */
import type { ListedJob } from '../../jobs/jobs.ts';
import { type Html, html } from '../html.ts';
import { time } from '../layout.ts';
import type { Status } from './home.ts';
import { type Line, type Point, plot } from './plot.ts';
import type { Session } from './sessions.ts';

/** How the log grew, and for as long as this process runs what was safe where. */
export type LogHistory = { readonly log: readonly Point[]; readonly anchors: readonly Line[] };

/** Of the plots, in ms; undefined: all there is. */
export const spans = { day: 24 * 3_600_000, week: 7 * 24 * 3_600_000, all: undefined } as const;
export type Span = keyof typeof spans;
const spanNames: Readonly<Record<Span, string>> = { day: 'The last 24 hours', week: 'The last 7 days', all: 'All of it' };

export function isSpan(text: string): text is Span {
  return Object.hasOwn(spans, text);
}

type Log = { readonly status: Status; readonly history: LogHistory; readonly alarms: readonly string[]; readonly span: Span };

export function logPage({ formToken }: Session, { status, history, alarms, span }: Log): Html {
  const { checkpoint, witnessed, anchors, logSize } = status;
  return html`${alarmsSection(alarms)}
<h2>Log</h2>
<dl>
<dt>Entries</dt><dd>${logSize}</dd>
<dt>Signed</dt><dd>${checkpoint ? html`${checkpoint.size}, ${time(checkpoint.signedAt)}` : 'nothing yet'}</dd>
<dt>Witnessed</dt><dd>${witnessed ? html`${witnessed.size}, ${time(witnessed.signedAt)}, cosigned by ${witnessed.by}` : 'nothing yet'}</dd>
</dl>
<form method="post" action="/console/log" class="row"><input type="hidden" name="token" value="${formToken}">${(Object.keys(spans) as Span[]).map(
    (name) =>
      html`<button class="plain" name="span" value="${name}" ${name === span ? html`aria-current="true"` : undefined}>${spanNames[name]}</button> `,
  )}</form>
${plot('Entries of the log', [{ name: 'entries', points: history.log }])}
<h2>Anchors</h2>
${anchors.length === 0 ? html`<p>Nothing is anchored yet.</p>` : html`<dl>${anchors.map(({ name, size, at }) => html`<dt>${name}</dt><dd>${size} entries, ${time(at)}</dd>`)}</dl>`}
${plot('Entries that are safe, by place, since this process began', history.anchors)}`;
}

export function alarmsSection(alarms: readonly string[]): Html {
  if (alarms.length === 0) return html`<p class="good" role="status">No alarms.</p>`;
  return html`<ul>${alarms.map((sentence) => html`<li class="card refused" role="alert"><span class="bad">Alarm</span> ${sentence}</li>`)}</ul>`;
}

const tones: Readonly<Record<ListedJob['state'], string>> = { queued: 'soft', running: 'soft', done: 'good', failed: 'bad', cancelled: 'soft' };

export function jobsPage(jobs: readonly ListedJob[]): Html {
  return html`<p>Newest first. What a job found is for whoever asked for it.</p>
${jobs.length === 0 ? html`<p role="status">There is none.</p>` : undefined}
<ol>${jobs.map(
    ({ id, kind, state, progress, submitted, updated, fault }) => html`<li class="card${state === 'failed' ? ' refused' : ''}">
<h3>${kind} <span class="${tones[state]}">${state}</span></h3>
<dl>
<dt>Asked for</dt><dd>${time(submitted)}</dd>
<dt>Last heard</dt><dd>${time(updated)}</dd>
${progress === '' ? undefined : html`<dt>Progress</dt><dd>${progress}</dd>`}
${fault ? html`<dt>Fault</dt><dd>${fault.code}</dd>` : undefined}
<dt>Id</dt><dd><code>${id}</code></dd>
</dl>
</li>`,
  )}</ol>`;
}
