/** What operators are told of the log: a line and a webhook where what is stored is not what was logged, and gauges. */
import type { FastifyInstance } from 'fastify';
import { type AlarmKind, alarmSeries } from '../anchoring/alarms.ts';
import { anchorSeries } from '../anchoring/anchor-watch.ts';
import type { Anchoring } from '../anchoring/anchoring.ts';
import { proofSeries } from '../anchoring/proof-watch.ts';
import type { Check } from '../http/health.ts';
import type { Metrics } from '../http/metrics.ts';
import type { Notices } from './notices.ts';

const sentences: Readonly<Record<Exclude<AlarmKind, 'log' | 'aggregate'>, string>> = {
  consent: 'a stored Consent is not the one in the log: everything it permitted is closed',
  key: 'a stored key is not the one in the log: it signs nothing',
  authority: 'a stored authority is not the one in the log: nobody acts under it',
};

/** Given the newest log entry about it. */
export function alarmOf(
  kind: keyof typeof sentences,
  { alarms }: Pick<Anchoring, 'alarms'>,
  { log }: Pick<FastifyInstance, 'log'>,
): (logIndex: number | undefined) => void {
  return (logIndex) => {
    log.fatal({ logIndex }, sentences[kind]);
    alarms.raise(kind, logIndex);
  };
}

export function noticeSeries(metrics: Pick<Metrics, 'series'>, { undelivered }: Pick<Notices, 'undelivered'>): void {
  const help = 'Notices that have not arrived yet, as of the last look.';
  metrics.series('assent_notices_undelivered', help, { label: 'channel', read: undelivered });
}

export function logSeries(
  metrics: Pick<Metrics, 'series'>,
  { anchorAges, proofAges, alarms }: Pick<Anchoring, 'anchorAges' | 'proofAges' | 'alarms'>,
): void {
  for (const [name, help, of] of anchorSeries) metrics.series(name, help, { label: 'anchor', read: () => anchorAges().map(of) });
  for (const [name, help, of] of proofSeries) metrics.series(name, help, { label: 'of', read: () => proofAges().map(of) });
  for (const [name, help, of] of alarmSeries) metrics.series(name, help, { label: 'kind', read: () => alarms.counts().map(of) });
}

/** Since the start, in words, each kind once. */
export function raisedAlarms({ alarms }: Pick<Anchoring, 'alarms'>): readonly string[] {
  const words = {
    ...sentences,
    log: 'the log is not the one that was signed: nothing is signed or disclosed',
    aggregate: 'what the aggregate signed of this log is not what this log signed, or not what the aggregate said before',
  };
  const told = alarms.counts().filter(({ raised }) => raised > 0);
  return told.map(({ kind, raised, undelivered }) => {
    const waiting = undelivered > 0 ? `, ${undelivered} not told to the webhook yet` : '';
    return `Raised ${raised === 1 ? 'once' : `${raised} times`} since the start${waiting}: ${words[kind]}.`;
  });
}

/** What is told and no reason to send anybody away. */
export function lateness({ checkAnchors, checkProofs }: Pick<Anchoring, 'checkAnchors' | 'checkProofs'>): readonly Check[] {
  return [
    { name: 'anchors', check: checkAnchors, advisory: true },
    { name: 'proofs', check: checkProofs, advisory: true },
  ];
}
