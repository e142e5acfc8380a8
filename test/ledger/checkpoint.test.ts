/** Signed notes against Go's note package and the C2SP examples; what is not exactly in form, or not signed by a known key, does not count. */
import { describe, expect, it } from 'vitest';
import { checkpointText, parseCheckpoint } from '../../ledger/checkpoint-text.ts';
import { openCheckpoint, signCheckpoint } from '../../ledger/checkpoint.ts';
import { newSignerKey, parseNote, parseSignerKey, parseVerifierKey, verifyNote, type VerifierKey } from '../../ledger/note.ts';

// golang.org/x/mod/sumdb/note, note_test.go and the package's example.
const go = {
  verifier: 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  signer: 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz',
  text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  line: '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n',
};
// https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint; the documents give no keys for them.
const c2spNote =
  'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n';
const c2spCheckpoint =
  'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n';

const key = (text: string): VerifierKey => parseVerifierKey(text) as VerifierKey;
const root = Buffer.alloc(32, 7);

describe('signed notes', () => {
  it('sign and verify as Go does', () => {
    expect(parseSignerKey(go.signer)?.line(go.text)).toBe(go.line);
    expect(parseSignerKey(go.signer)?.verifierKey.text).toBe(go.verifier);
    const note = parseNote(`${go.text}\n${go.line}`);
    expect(note && verifyNote(note, [key(go.verifier)])).toMatchObject({ kind: 'signed' });
  });

  it('are read with empty lines in their text', () => {
    const note = parseNote(c2spNote);
    expect(note?.text).toMatch(/^Ognuno[^]*sole:\n\ned è subito sera\.\n$/);
    expect(note?.signatures).toMatchObject([{ name: 'quasimodo.example/salvatore', id: '367ba04b' }]);
  });

  it('with a changed text or signature are forged; by strangers, unsigned', () => {
    const changed = parseNote(`${go.text.replace('think', 'thinK')}\n${go.line}`);
    expect(changed && verifyNote(changed, [key(go.verifier)])).toEqual({ kind: 'forged' });
    const stranger = parseSignerKey(newSignerKey('PeterNeumann'));
    const foreign = parseNote(`${go.text}\n${stranger?.line(go.text)}`);
    expect(foreign && verifyNote(foreign, [key(go.verifier)])).toEqual({ kind: 'unsigned' });
    const both = parseNote(`${go.text}\n${stranger?.line(go.text)}${go.line}`);
    expect(both && verifyNote(both, [key(go.verifier)])).toMatchObject({ kind: 'signed', by: [{ key: { name: 'PeterNeumann' } }] });
  });

  it.each([
    ['no signature', `${go.text}\n`],
    ['no blank line', `${go.text}${go.line}`],
    ['no final newline', `${go.text}\n${go.line.trimEnd()}`],
    ['a hyphen for the dash', `${go.text}\n${go.line.replace('—', '-')}`],
    ['a signature cut short', `${go.text}\n— PeterNeumann x08gow==\n`],
    ['spare bits in base64', `${go.text}\n${go.line.replace('nAM=', 'nAN=')}`],
    ['a control character', `${go.text.replace('think', 'th\tnk')}\n${go.line}`],
    ['more signatures than anyone needs', `${go.text}\n${go.line.repeat(33)}`],
  ])('with %s are malformed', (_name, note) => {
    expect(parseNote(note)).toBeUndefined();
  });

  it.each([
    ['another name', go.verifier.replace('Peter', 'Petra')],
    ['another id', go.verifier.replace('c74f20a3', 'c74f20a4')],
    ['another algorithm', go.verifier.replace('+ARpc', '+Ahpc')],
    ['spare bits', `${go.verifier.slice(0, -1)}X`],
    ['a space in the name', go.verifier.replace('Peter', 'Peter ')],
  ])('a verifier key with %s is none', (_name, text) => {
    expect(parseVerifierKey(text)).toBeUndefined();
  });
});

describe('checkpoints', () => {
  it('have the form of the C2SP example', () => {
    const note = parseNote(c2spCheckpoint);
    const checkpoint = parseCheckpoint(note?.text ?? '');
    expect(checkpoint).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20_852_163 });
    expect(checkpoint && checkpointText(checkpoint)).toBe(note?.text);
    expect(openCheckpoint(c2spCheckpoint, [key(go.verifier)])).toEqual({ kind: 'unsigned' });
  });

  it('may carry several signatures, each counted for its key', () => {
    const signers = ['log.example/a', 'witness.example/b'].map((name) => parseSignerKey(newSignerKey(name)) ?? expect.fail());
    const note = signCheckpoint({ origin: 'log.example/a', size: 5, root }, signers);
    const [log, witness] = signers.map(({ verifierKey }) => verifierKey);
    expect(openCheckpoint(note, log && witness ? [log, witness] : [])).toMatchObject({
      kind: 'signed',
      by: [{ key: log }, { key: witness }],
      checkpoint: { size: 5 },
    });
    expect(openCheckpoint(note, witness ? [witness] : [])).toMatchObject({ by: [{ key: witness }] });
    expect(openCheckpoint(note.replace('\n5\n', '\n6\n'), log ? [log] : [])).toEqual({ kind: 'forged' });
  });

  it.each([
    ['a leading zero', 'o\n05\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n'],
    ['a short root', 'o\n5\nBwcHBw==\n'],
    ['an extension line', 'o\n5\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\nmore\n'],
    ['no origin', '\n5\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n'],
    ['a size past counting', 'o\n9007199254740993\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n'],
  ])('with %s are malformed', (_name, text) => {
    expect(parseCheckpoint(text)).toBeUndefined();
  });
});
