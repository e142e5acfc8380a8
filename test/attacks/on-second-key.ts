/** What a stolen Ed25519 key of the log is worth where it signs with ML-DSA-44 as well, and readers pinned both. docs/adr/0050-a-second-key-that-cosigns.md */
import { writeFileSync } from 'node:fs';
import { type Attack, readAlone } from './attacks.ts';
import { assent, type Scene } from './scene.ts';

const ON = { ASSENT_LOG_MLDSA: 'on' };

/** The thief’s checkpoint under the second signature of an earlier one. */
function replayed(forged: string, honest: string): string {
  const line = (text: string) => (JSON.parse(text) as { checkpoint: string }).checkpoint.split('\n').at(-2) ?? '';
  return forged.replace(JSON.stringify(line(forged)).slice(1, -1), JSON.stringify(line(honest)).slice(1, -1)).replace(keysOf(forged), keysOf(honest));
}

const keysOf = (text: string): string => /"witnesses":\["[^"]+"\]/.exec(text)?.[0] ?? '';

async function codeOf(scene: Scene, text: string, policy: string): Promise<number> {
  const file = scene.temporary('second-key.json');
  writeFileSync(file, text);
  return (await assent(['verify', file, '--trust', policy])).code;
}

export const onSecondKey: readonly Attack[] = [
  {
    name: 'history goes on under the log’s stolen Ed25519 key alone',
    powers: 'everything but the log’s second key',
    noticedBy: 'whoever verifies with both keys pinned',
    async run(scene) {
      // Each copy holds the Ed25519 key of the same log; the second key is made where it is first asked for, and no copy has that of another.
      const receipt = await readAlone(scene, scene.copy(), ON);
      const policy = scene.temporary('both-keys');
      const pinned = JSON.parse(receipt) as { log: string; witnesses: string[] };
      writeFileSync(policy, `${pinned.log}\n${pinned.witnesses.join('\n')}\n`);
      if ((await codeOf(scene, receipt, policy)) !== 0) throw new Error('The honest receipt is not proven.');
      const [own, none] = [await readAlone(scene, scene.copy(), ON), await readAlone(scene, scene.copy())];
      for (const forged of [own, none])
        if ((await codeOf(scene, forged, pinned.log)) !== 0) throw new Error('The attack is none: the stolen key did not sign.');
      // Under a second key of the thief’s own, under none, and under the honest one’s signature of another checkpoint.
      const codes: number[] = [];
      for (const forged of [own, none, replayed(own, receipt)]) codes.push(await codeOf(scene, forged, policy));
      return codes.every((code) => code === 1) ? 'exit code 1, each of three ways' : '';
    },
  },
];
