/** Attacks by whoever runs an aggregate, and on it: a log of its own that is a member. ledger.md §5, §7 */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { proofName, readAggregateProof, writeAggregateProof } from '../../ledger/aggregate.ts';
import { runAggregate } from '../support/aggregate-process.ts';
import { type ServedLog, serveLog } from '../support/served-log.ts';
import type { Attack } from './attacks.ts';

type World = {
  readonly member: ServedLog;
  /** What the aggregate proves of it. */
  readonly file: string;
  readonly said: () => string;
};

const BY_MEMBER = 'the member’s server, within a minute: an alarm';

/** With a log in an aggregate that it has looked at. */
function inAggregate(
  name: string,
  given: Pick<Attack, 'powers' | 'noticedBy'>,
  attack: (world: World) => Promise<() => Promise<string> | string>,
): Attack {
  return {
    name,
    ...given,
    async run() {
      const folder = mkdtempSync(join(tmpdir(), 'assent-aggregate-'));
      const member = await serveLog();
      await member.grow(3);
      const logs = join(folder, 'logs');
      writeFileSync(logs, member.line);
      const { stop, url, key, said } = await runAggregate({ folder, logs });
      try {
        const kept = async () => (await looked(member)).log.engine.records.get('log-aggregate', 'log-aggregate');
        await reopened(member, { AGGREGATE_URL: url, AGGREGATE_KEY: key });
        if ((await seen(async () => (await kept()) !== undefined)) === '') throw new Error('The aggregate proves nothing at all.');
        const noticed = await attack({ member, file: join(folder, proofName(member.key.name)), said });
        return await seen(async () => (await looked(member)) && noticed());
      } finally {
        await stop();
        await member.dispose();
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

async function reopened({ log }: ServedLog, settings: ServedLog['log']['settings']): Promise<void> {
  await log.anchoring.sealer.stop();
  log.settings = settings;
  await log.reopen();
  await log.anchoring.sealer.start();
}

async function looked(member: ServedLog): Promise<ServedLog> {
  member.log.time.now += 60_000;
  await member.log.ring();
  return member;
}

/** What was there within some seconds; '' if nothing was. */
async function seen(look: () => Promise<unknown>): Promise<string> {
  for (let turn = 0; turn < 400; turn++) {
    const found = await look();
    if (found !== '' && found !== false && found !== undefined) return typeof found === 'string' ? found : 'seen';
    await sleep(50);
  }
  return '';
}

const alarmOf =
  ({ log }: ServedLog) =>
  (): string =>
    log.anchoring.alarms.counts().some(({ kind, raised }) => kind === 'aggregate' && raised > 0) ? 'alarm' : '';

export const onAggregate: readonly Attack[] = [
  inAggregate('an aggregate puts another root in a hospital’s name', { powers: 'the aggregate', noticedBy: BY_MEMBER }, async ({ member, file }) => {
    const proof = readAggregateProof(readFileSync(file, 'utf8'));
    if (typeof proof === 'string') throw new Error(proof);
    const pieces = proof.pieces.map((piece) => ({ ...piece, member: piece.member.replace('\n3\n', '\n2\n') }));
    writeFileSync(file, writeAggregateProof({ ...proof, pieces }));
    return alarmOf(member);
  }),
  inAggregate('an aggregate drops a hospital', { powers: 'the aggregate', noticedBy: BY_MEMBER }, async ({ member, file }) => {
    rmSync(file);
    return alarmOf(member);
  }),
  inAggregate(
    'a hospital’s log shows an aggregate another history',
    { powers: 'everything, the log’s key included', noticedBy: 'the aggregate, in its next round' },
    async ({ member, said }) => {
      const forked = await serveLog();
      copyFileSync(join(member.log.dataDir, 'signer', 'key'), join(forked.log.dataDir, 'signer', 'key'));
      await reopened(forked, {});
      forked.log.time.now += 5000;
      await forked.grow(9);
      member.shown = forked.log.anchoring.publicLog;
      return async () => {
        if (!said().includes('FORKED')) return '';
        await forked.dispose();
        return 'refused, and told';
      };
    },
  ),
];
