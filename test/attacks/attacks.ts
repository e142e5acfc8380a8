/**
 * The attacks, as data: what the attacker has, what is done, who notices and when. ledger.md §7
 * Each is done for real on a copy of a real server's folder, and told by what a person would see: an exit code or a status. '' is unnoticed.
 */
import { appendFileSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { agree, put, patient, observation, register, settled, termsOf } from '../support/real-server.ts';
import { enrolKey, submit } from '../../server/commands/demo/session.ts';
import { assent, edit, INSURER, type Running, type Scene } from './scene.ts';

export type Attack = {
  readonly name: string;
  /** What the attacker has. */
  readonly powers:
    | 'the database'
    | 'the database and the server’s folder'
    | 'everything, the log’s key included'
    | 'everything but the log’s second key'
    | 'a file'
    | 'the API'
    | 'an account on the chain'
    | 'the aggregate';
  readonly noticedBy: string;
  /** What was seen; '' when nothing was. */
  readonly run: (scene: Scene) => Promise<string>;
};

const FSCK = 'whoever runs `assent fsck`';
const READ = 'every server, at the next read';
const READER = 'whoever verifies the receipt';
const START = 'the server, at its start';

/** `assent fsck` after the database was changed by hand. */
function onDisk(name: string, change: (database: DatabaseSync, scene: Scene) => void): Attack {
  return {
    name,
    powers: 'the database',
    noticedBy: FSCK,
    run: async (scene) => {
      const folder = scene.copy();
      edit(folder, (database) => change(database, scene));
      return exitOf(await assent(['fsck'], { ASSENT_DATA_DIR: folder }));
    },
  };
}

const exitOf = ({ code }: { readonly code: number }): string => (code === 0 ? '' : `exit code ${code}`);
const update = (database: DatabaseSync, sql: string, ...values: readonly string[]): void => {
  const { changes } = database.prepare(sql).run(...values);
  if (Number(changes) === 0) throw new Error(`The attack changed nothing: ${sql}`);
};
const idOf = (consent: string): string => consent.slice('Consent/'.length);

/** What the insurer reads after the database was changed by hand. */
function atRead(name: string, change: (database: DatabaseSync, scene: Scene) => void, of = 'of-ann'): Attack {
  return {
    name,
    powers: 'the database',
    noticedBy: READ,
    run: async (scene) => {
      const folder = scene.copy();
      edit(folder, (database) => change(database, scene));
      return scene.serve(folder, (running) => readOf(running, scene, of));
    },
  };
}

async function readOf(running: Running, { insurer }: Scene, observationId: string): Promise<string> {
  const { status } = await (await running.session(insurer)).call('GET', `Observation/${observationId}`);
  return status === 200 ? '' : `read ${status}`;
}

/** The bodies and signatures of a Consent as they were before it was withdrawn. */
function resurrect(database: DatabaseSync, { bea, copy }: Scene): void {
  const before = copy('before');
  database.exec(`ATTACH '${join(before, 'assent.sqlite')}' AS old`);
  const id = idOf(bea.consent);
  update(
    database,
    `UPDATE resources SET body = (SELECT body FROM old.resources o WHERE o.type = 'Consent' AND o.id = ?) WHERE type = 'Consent' AND id = ?`,
    id,
    id,
  );
  update(
    database,
    `UPDATE records SET value = (SELECT value FROM old.records o WHERE o.kind = 'signed-consent' AND o.id = records.id) WHERE kind = 'signed-consent' AND id = ?`,
    id,
  );
}

/** Bea, who withdrew, is Ann in what decides about her record: the insurer reads it, and the log is whole. */
function reindexed(name: string, change: (database: DatabaseSync) => void): Attack {
  return {
    name,
    powers: 'the database',
    noticedBy: 'whoever runs `assent fsck --index`',
    run: async (scene) => {
      const folder = scene.copy();
      edit(folder, change);
      return exitOf(await assent(['fsck', '--index'], { ASSENT_DATA_DIR: folder }));
    },
  };
}

const asAnn = (table: string): string =>
  `UPDATE ${table} SET keys = replace(keys, '@patient/bea', '@patient/ann') WHERE rid = (SELECT rid FROM resources WHERE id = 'of-bea')`;

const onIndex: readonly Attack[] = [
  reindexed('a hidden record is keyed as another patient’s', (db) => update(db, asAnn('resources'))),
  reindexed('a hidden record is another patient’s in the index alone', (db) => {
    update(db, asAnn('deciding'));
    update(db, `UPDATE keys SET key = '@patient/ann' WHERE key = '@patient/bea' AND id = 'of-bea'`);
  }),
  reindexed('a hidden record’s text is put into one that is shown', (db) =>
    update(db, `UPDATE resources SET body = (SELECT body FROM resources WHERE id = 'of-bea') WHERE id = 'of-ann'`),
  ),
];

const swapEntries = `UPDATE log SET entry = (SELECT other.entry FROM log other WHERE other.idx = log.idx + (CASE log.idx % 2 WHEN 0 THEN 1 ELSE -1 END)) WHERE idx IN (2, 3)`;

const inDatabase: readonly Attack[] = [
  onDisk('a Consent is edited', (db, { ann }) =>
    update(db, `UPDATE resources SET body = replace(body, 'TREAT', 'HMARKT') WHERE type = 'Consent' AND id = ?`, idOf(ann.consent)),
  ),
  atRead('a Consent is edited, and read by', (db, { ann }) =>
    update(db, `UPDATE resources SET body = replace(body, '"permit"', '"permit" ') WHERE type = 'Consent' AND id = ?`, idOf(ann.consent)),
  ),
  onDisk('a Consent is deleted', (db, { ann }) => update(db, `DELETE FROM resources WHERE type = 'Consent' AND id = ?`, idOf(ann.consent))),
  onDisk('a withdrawn Consent is put back', resurrect),
  atRead('a withdrawn Consent is put back, and read by', resurrect, 'of-bea'),
  onDisk('a patient’s key is swapped', (db) =>
    update(db, `UPDATE records SET value = replace(value, 'Patient/ann', 'Patient/eve') WHERE kind = 'key-event'`),
  ),
  onDisk('a key’s event is dropped', (db, { keys }) => update(db, `DELETE FROM records WHERE kind = 'key-event' AND id LIKE ?`, `${keys.ann.kid}%`)),
  onDisk('an AuditEvent is dropped', (db) =>
    update(db, `DELETE FROM resources WHERE rid = (SELECT max(rid) FROM resources WHERE type = 'AuditEvent')`),
  ),
  onDisk('an AuditEvent is edited', (db) =>
    update(
      db,
      `UPDATE resources SET body = replace(body, '${INSURER}', 'Organization/nobody') WHERE type = 'AuditEvent' AND body LIKE '%${INSURER}%'`,
    ),
  ),
  onDisk('a disclosure is backdated', (db) =>
    update(db, `UPDATE log SET entry = replace(entry, '"occurredAt":"20', '"occurredAt":"19') WHERE idx = (SELECT max(idx) FROM log)`),
  ),
  onDisk('two entries of a batch change places', (db) => update(db, swapEntries)),
  onDisk('an index is used for another entry', (db) => update(db, `UPDATE log SET entry = (SELECT entry FROM log WHERE idx = 5) WHERE idx = 6`)),
  onDisk('a bit of a tile is flipped', (db) =>
    update(db, `UPDATE records SET value = CAST(substr(value, 1, 40) || x'00' || substr(value, 42) AS BLOB) WHERE kind = 'log-tile'`),
  ),
  onDisk('the end of the log is cut off', (db) => update(db, `DELETE FROM log WHERE idx > (SELECT max(idx) - 4 FROM log)`)),
];

/** The folder as it was before Bea withdrew, in the place of the present one. */
const setBack: readonly Attack[] = [
  {
    name: 'an old database beside the present signer',
    powers: 'the database',
    noticedBy: START,
    run: async (scene) => {
      const folder = scene.copy();
      const before = scene.copy('before');
      for (const end of ['', '-wal', '-shm']) rmSync(join(folder, `assent.sqlite${end}`), { force: true });
      for (const end of ['', '-wal', '-shm']) copyIfThere(join(before, `assent.sqlite${end}`), join(folder, `assent.sqlite${end}`));
      return scene.serve(folder, async ({ ready }) => (ready === 200 ? '' : `readyz ${ready}`));
    },
  },
  {
    name: 'an old copy of everything',
    powers: 'the database and the server’s folder',
    noticedBy: 'the server, told by its witness, at its start',
    run: (scene) => scene.serve(scene.copy('before'), async ({ ready }) => (ready === 200 ? '' : `readyz ${ready}`)),
  },
];

function copyIfThere(from: string, to: string): void {
  try {
    cpSync(from, to);
  } catch {
    // No such file: the database was closed in order.
  }
}

/** A second history under the log's own key: the present one without what came after `before`, and other acts instead. Nobody asks the witness. */
async function secondHistory(scene: Scene): Promise<{ readonly folder: string; readonly receipt: string }> {
  const folder = scene.copy('before');
  const receipt = await scene.serve(
    folder,
    async ({ bootstrap, session }) => {
      const admin = await session(scene.admin, 'system/*.cruds admin');
      const server = { admin, bootstrap, now: () => Date.now() };
      await put(server, patient('eve'));
      await put(server, observation('of-eve', 'Patient/eve'));
      await agree(server, termsOf(server, { patient: 'Patient/eve', grantee: INSURER }), [await enrolKey(admin, 'Patient/eve'), scene.keys.hospital]);
      const victim = (await register(server, { actor: INSURER })).session;
      const read = await victim.call('GET', 'Observation/of-eve');
      for (let i = 0; i < 10; i++) await victim.call('GET', 'Observation/of-eve');
      return (await settled(victim, read.headers.get('assent-receipt') ?? '')).text;
    },
    { alone: true },
  );
  return { folder, receipt };
}

/** A receipt of a read of today, under a checkpoint that no witness was asked about. */
export async function readAlone(scene: Scene, folder: string, settings: Readonly<Record<string, string>> = {}): Promise<string> {
  return scene.serve(
    folder,
    async (running) => {
      const session = await running.session(scene.insurer);
      const read = await session.call('GET', 'Observation/of-ann');
      const { status, text } = await settled(session, read.headers.get('assent-receipt') ?? '');
      if (status !== 200) throw new Error(`The receipt was answered with ${status}.`);
      return text;
    },
    { alone: true, settings },
  );
}

/** Held against each other, by whoever pinned nothing. */
async function verifiedAs(scene: Scene, texts: readonly string[]): Promise<string> {
  const files = texts.map((text, i) => {
    const file = scene.temporary(`file-${i}.json`);
    writeFileSync(file, text);
    return file;
  });
  return exitOf(await assent(['verify', ...files]));
}

async function verified(scene: Scene, text: string): Promise<string> {
  const file = scene.temporary('file.json');
  writeFileSync(file, text);
  return exitOf(await assent(['verify', file, '--trust', scene.policy]));
}

const withTheKey: readonly Attack[] = [
  {
    name: 'history is rewritten and signed again',
    powers: 'everything, the log’s key included',
    noticedBy: 'the server, told by its witness, at its start',
    run: async (scene) => scene.serve((await secondHistory(scene)).folder, async ({ ready }) => (ready === 200 ? '' : `readyz ${ready}`)),
  },
  {
    name: 'the log’s old key is used after it was replaced',
    powers: 'everything, the log’s key included',
    noticedBy: 'whoever verifies it beside a later receipt',
    run: async (scene) => {
      const [replaced, stolen] = [scene.copy(), scene.copy()];
      const { code } = await assent(['rotate'], { ASSENT_DATA_DIR: replaced });
      const [honest, thief] = [await readAlone(scene, replaced), await readAlone(scene, stolen)];
      const each = [await verifiedAs(scene, [honest]), await verifiedAs(scene, [thief])];
      if (code !== 0 || each.some((seen) => seen !== '')) throw new Error('The attack is none: one of the receipts is not proven by itself.');
      return verifiedAs(scene, [honest, thief]);
    },
  },
  {
    name: 'one victim is shown another log (split view)',
    powers: 'everything, the log’s key included',
    noticedBy: 'the victim, by `verify --trust` with the witness pinned',
    run: async (scene) => verified(scene, (await secondHistory(scene)).receipt),
  },
];

function onFile(name: string, change: (receipt: string) => string): Attack {
  return {
    name,
    powers: 'a file',
    noticedBy: READER,
    run: async (scene) => {
      const changed = change(scene.receipt);
      if (changed === scene.receipt) throw new Error('The attack changed nothing.');
      return verified(scene, changed);
    },
  };
}

const onReceipts: readonly Attack[] = [
  onFile('a receipt is changed in one character', (text) => text.replace(/"digest":"(.)/, (_, c: string) => `"digest":"${c === 'A' ? 'B' : 'A'}`)),
  onFile('inclusion is claimed at another index', (text) => text.replace(/"index":(\d+)/, (_, n: string) => `"index":${Number(n) + 1}`)),
  onFile('inclusion is claimed in a tree of another size', (text) =>
    text.replace(/(\\n)(\d+)(\\n)/, (_, a: string, n: string, b: string) => `${a}${Number(n) + 1}${b}`),
  ),
  onFile('the witness’s signature is taken off', (text) => text.replace(/\\n— witness\.example [^\\]+/, '').replace(/"witnesses":\[[^\]]*\],/, '')),
  onFile('the Consent in it is another', (text) => text.replaceAll('HPAYMT', 'HMARKT').replaceAll('TREAT', 'HMARKT')),
];

const throughTheApi: readonly Attack[] = [
  {
    name: 'an approval from before the withdrawal is sent again',
    powers: 'the API',
    noticedBy: 'the server, at once',
    run: (scene) =>
      scene.serve(scene.copy(), async (running) => {
        const admin = await running.session(scene.admin, 'system/*.cruds admin');
        const { status } = await submit(admin, scene.bea.statement, [scene.keys.bea, scene.keys.hospital]);
        return status >= 400 && (await readOf(running, scene, 'of-bea')) !== '' ? `$sign ${status}` : '';
      }),
  },
  {
    name: 'a line is added to the anchored checkpoints',
    powers: 'the database and the server’s folder',
    noticedBy: FSCK,
    run: async (scene) => {
      const folder = scene.copy();
      const file = join(folder, 'anchors', 'checkpoints.jsonl');
      const last = readFileSync(file, 'utf8').trim().split('\n').at(-1) ?? '';
      appendFileSync(file, `\n${last.replace(/\\n(\d+)\\n/, (_, n: string) => `\\n${Number(n) + 5}\\n`)}\n`);
      return exitOf(await assent(['fsck'], { ASSENT_DATA_DIR: folder }));
    },
  },
];

export const attacks: readonly Attack[] = [...inDatabase, ...onIndex, ...setBack, ...withTheKey, ...onReceipts, ...throughTheApi];

/** What every noticer says where nothing was done: a sentence for each that cries wolf. */
export async function falseAlarms(scene: Scene): Promise<string[]> {
  const folder = scene.copy();
  const said = [
    ['assent fsck --index', exitOf(await assent(['fsck', '--index'], { ASSENT_DATA_DIR: folder }))],
    ['assent verify --trust', await verified(scene, scene.receipt)],
    ...(await scene.serve(folder, async (running) => [
      ['readyz', running.ready === 200 ? '' : String(running.ready)],
      ['a read', await readOf(running, scene, 'of-ann')],
      ['a read after a withdrawal', (await readOf(running, scene, 'of-bea')) === '' ? 'answered' : ''],
    ])),
    ['assent fsck, after a kill -9', exitOf(await assent(['fsck'], { ASSENT_DATA_DIR: folder }))],
  ];
  return said.flatMap(([who, what]) => (what === '' ? [] : [`${who}: ${what}`]));
}
