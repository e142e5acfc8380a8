/**
 * The operator's pages: the log and its anchors over time, alarms, jobs.
 * Invariant: nothing on them is about anybody.
 */
import type { ListedJob } from '../../jobs/jobs.ts';
import type { WebDependencies } from '../plugin.ts';
import { type ConsolePage, type Opened, showTo } from './frame.ts';
import { isSpan, jobsPage, type LogHistory, logPage, type Span, spans } from './operations.ts';

export type Operations = {
  /** `since`: ms since 1970; absent: from the first entry. */
  readonly history: (since: number | undefined) => Promise<LogHistory>;
  /** Sentences; none where all is well. */
  readonly alarms: () => Promise<readonly string[]>;
  readonly jobs: () => Promise<readonly ListedJob[]>;
};

export function operationsPages(page: ConsolePage, dependencies: WebDependencies): void {
  page('GET /console/log', (opened) => showLog(dependencies, opened, 'day'));
  page('POST /console/log', (opened) => {
    const span = opened.form.get('span') ?? '';
    return showLog(dependencies, opened, isSpan(span) ? span : 'day');
  });
  page('GET /console/jobs', async ({ session, reply }) =>
    showTo(session, reply, { title: 'Jobs', content: jobsPage(await dependencies.operations.jobs()) }),
  );
}

async function showLog({ operations, status, clock }: WebDependencies, { session, reply }: Opened, span: Span) {
  const back = spans[span];
  const since = back === undefined ? undefined : clock() - back;
  const [now, history, alarms] = await Promise.all([status(), operations.history(since), operations.alarms()]);
  return showTo(session, reply, { title: 'Log and anchors', content: logPage(session, { status: now, history, alarms, span }) });
}
