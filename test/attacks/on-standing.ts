/** Attacks on the proof that a Consent still stands. ledger.md §3, §7 */
import { writeFileSync } from 'node:fs';
import { logRow } from '../../ledger/entry.ts';
import { emptyMapRoot } from '../../ledger/map.ts';
import { mapRootEntry, mapRootOf } from '../../ledger/map-root.ts';
import type { Receipt } from '../../ledger/receipt-format.ts';
import { settled } from '../support/real-server.ts';
import type { Attack } from './attacks.ts';
import { assent, edit, type Running, type Scene } from './scene.ts';

async function proofOf(running: Running, { admin }: Scene, consent: string): Promise<{ readonly status: number; readonly text: string }> {
  return settled(await running.session(admin, 'system/*.cruds admin'), `${consent}/$ledger-proof`);
}

async function verified(scene: Scene, text: string, ...args: readonly string[]): Promise<string> {
  const file = scene.temporary('standing.json');
  writeFileSync(file, text);
  const { code } = await assent(['verify', file, '--trust', scene.policy, ...args]);
  return code === 0 ? '' : `exit code ${code}`;
}

/** A row at the end of the log, by hand. */
function addRoot(folder: string, root: (rows: number) => { readonly upTo: number; readonly root: string }): void {
  edit(folder, (database) => {
    const { rows } = database.prepare('SELECT count(*) AS rows FROM log').get() as { rows: number };
    const { key, entry } = logRow(mapRootEntry(root(rows), new Date().toISOString()));
    database.prepare('INSERT INTO log VALUES (?, ?, ?)').run(rows, `${key} again`, entry);
  });
}

const fscked = async (folder: string): Promise<string> => {
  const { code } = await assent(['fsck'], { ASSENT_DATA_DIR: folder });
  return code === 0 ? '' : `exit code ${code}`;
};

export const onStanding: readonly Attack[] = [
  {
    name: 'a withdrawn Consent is shown as current under the newest root',
    powers: 'a file',
    noticedBy: 'whoever verifies it',
    run: async (scene) => {
      const { text } = await scene.serve(scene.copy(), (running) => proofOf(running, scene, scene.bea.consent));
      const [old, newest] = [JSON.parse(scene.stood) as Receipt, JSON.parse(text) as Receipt];
      const current = newest.current && { ...newest.current, proofs: old.current?.proofs ?? [] };
      return verified(scene, JSON.stringify({ ...old, checkpoint: newest.checkpoint, current }));
    },
  },
  {
    name: 'the proof from before a withdrawal is shown after it',
    powers: 'a file',
    noticedBy: 'whoever verifies it with `--in-force-at`',
    run: (scene) => verified(scene, scene.stood, '--in-force-at', scene.withdrawnAt),
  },
  {
    name: 'a root that leaves the withdrawals out is logged',
    powers: 'the database',
    noticedBy: 'every server, at the next proof',
    run: async (scene) => {
      const folder = scene.copy();
      addRoot(folder, (rows) => mapRootOf(rows, emptyMapRoot));
      const { status } = await scene.serve(folder, (running) => proofOf(running, scene, scene.ann.consent));
      return status === 200 || (await fscked(folder)) === '' ? '' : `$ledger-proof ${status}`;
    },
  },
  {
    name: 'an old root is logged as a new one',
    powers: 'the database',
    noticedBy: 'whoever runs `assent fsck`',
    run: async (scene) => {
      const folder = scene.copy();
      const { current } = JSON.parse(scene.stood) as Receipt;
      if (!current) throw new Error('There is no root to log again.');
      addRoot(folder, () => current);
      await scene.serve(folder, async () => undefined);
      return fscked(folder);
    },
  },
];

/** What is said of a proof that nobody touched. */
export async function falseAlarmsAboutStanding(scene: Scene): Promise<string[]> {
  const { current } = JSON.parse(scene.stood) as Receipt;
  const said = [
    ['assent verify --in-force-at', await verified(scene, scene.stood, '--in-force-at', current?.entry.occurredAt ?? '')],
    ...(await scene.serve(scene.copy(), async (running) => {
      const { status } = await proofOf(running, scene, scene.ann.consent);
      return [['$ledger-proof', status === 200 ? '' : String(status)]];
    })),
  ];
  return said.flatMap(([who, what]) => (what === '' ? [] : [`${who}: ${what}`]));
}
