/** Trust policies in the form of c2sp.org/tlog-policy: who counts, how many of them, and what is no policy. */
import { describe, expect, it } from 'vitest';
import { newSignerKey, parseCosignerKey, parseSignerKey } from '../../ledger/note.ts';
import { parsePolicy } from '../../ledger/policy.ts';

const logKey = parseSignerKey(newSignerKey('log.example'))?.verifierKey.text ?? expect.fail();
const names = ['x1', 'x2', 'x3', 'y1', 'y2', 'y3'] as const;
const keys = Object.fromEntries(
  names.map((name) => [name, parseCosignerKey(newSignerKey(`${name}.example`, 'cosignature'))?.verifierKey.text ?? expect.fail()]),
) as Record<(typeof names)[number], string>;
const witnesses = names.map((name) => `witness ${name} ${keys[name]}`).join('\n');
const quorumOf = (rest: string, ...signed: readonly (typeof names)[number][]) => {
  const policy = parsePolicy(`log ${logKey}\n${witnesses}\n${rest}`);
  if (typeof policy === 'string') return policy;
  return policy.quorum(new Set(signed.map((name) => keys[name])));
};

describe('a trust policy', () => {
  it('counts within groups, so that two witnesses of one organization are not two organizations', () => {
    const groups = 'group X 2 x1 x2 x3\ngroup Y any y1 y2 y3\ngroup both all X Y\nquorum both';
    expect(quorumOf(groups, 'x1', 'x3', 'y2')).toBe(true);
    expect(quorumOf(groups, 'x1', 'x2', 'x3')).toBe(false);
    expect(quorumOf(groups, 'x1', 'y1', 'y2', 'y3')).toBe(false);
    expect(quorumOf('quorum x1', 'x1')).toBe(true);
    expect(quorumOf('quorum x1', 'x2')).toBe(false);
    expect(quorumOf('quorum none')).toBe(true);
  });

  it('holds logs and witnesses with their addresses, white space and comments as they come', () => {
    const policy = parsePolicy(`# ours\n\n  log\t${logKey}   https://log.example/ledger  \n\twitness x ${keys.x1} https://x.example\nquorum x\n`);
    expect(policy).toMatchObject({
      logs: [{ key: { name: 'log.example' }, url: 'https://log.example/ledger' }],
      witnesses: [{ name: 'x', key: { name: 'x1.example' }, url: 'https://x.example' }],
    });
    expect(parsePolicy(`log ${logKey}`)).toMatchObject({ logs: [{}], witnesses: [] });
  });

  it.each([
    ['witnesses without a quorum', '', 'no quorum'],
    ['two quorums', 'quorum x1\nquorum x2', 'second quorum'],
    ['a quorum of what comes later', 'quorum late\ngroup late any x1', 'Line 8'],
    ['a group of itself', 'group g any g\nquorum g', 'not there'],
    ['a member of two groups', 'group g any x1\ngroup h any x1\nquorum h', 'in a group already'],
    ['a member twice', 'group g 1 x1 x1\nquorum g', 'group'],
    ['none in a group', 'group g any none\nquorum g', 'group'],
    ['more needed than there are', 'group g 3 x1 x2\nquorum g', 'is not `group'],
    ['none needed', 'group g 0 x1 x2\nquorum g', 'is not `group'],
    ['a name twice', 'group x1 any x2\nquorum x1', 'a second time'],
    ['a witness twice, under another name', `witness again ${keys.x1}\nquorum again`, 'a second time'],
    ['a log’s key as a witness', `witness w ${logKey}\nquorum w`, 'is not `witness'],
    ['a witness’s key as a log', `log ${keys.x1}\nquorum none`, 'is not `log'],
    ['an unknown line', 'trust everybody\nquorum none', 'no known kind'],
    ['a carriage return', 'quorum none\r', 'control character'],
    ['a word of an object’s prototype', 'constructor x\nquorum none', 'no known kind'],
  ])('with %s is none', (_name, rest, sentence) => {
    expect(quorumOf(rest)).toContain(sentence);
  });
});
