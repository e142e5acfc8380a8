/** Every pinned code has words that a patient understands, in English and in Chinese, each its own. */
import { expect, it } from 'vitest';
import codes from '../../server/consent/code-systems.json' with { type: 'json' };
import { type Coded, displayOf, withCode } from '../../server/consent/displays.ts';
import table from '../../server/consent/displays.json' with { type: 'json' };

const pinned: Readonly<Record<Coded, readonly string[]>> = {
  purposes: Object.keys(codes.purposes),
  sensitivities: Object.keys(codes.sensitivities),
  ranks: [...'ULMNRV'],
};

it.each(['purposes', 'sensitivities', 'ranks'] as const)('%s', (kind) => {
  expect(pinned[kind].length).toBeGreaterThan(5);
  expect(Object.keys(table[kind]).sort()).toEqual([...pinned[kind]].sort());
  for (const language of ['en', 'zh-CN']) {
    const words = pinned[kind].map((code) => displayOf(kind, code, language));
    expect(new Set(words).size, language).toBe(words.length);
    for (const word of words) expect(word).toMatch(language === 'en' ? /^[a-z/,A-Z -]{3,}$/ : /\p{Script=Han}/u);
  }
});

it('a code stands beside its words, and alone where there are none', () => {
  expect([withCode('ranks', 'R', 'en'), withCode('ranks', 'R', 'zh'), withCode('ranks', 'R', 'fr')]).toEqual([
    'restricted (R)',
    '受限（R）',
    'restricted (R)',
  ]);
  expect(['toString', 'SNOOP'].map((code) => withCode('purposes', code, 'en'))).toEqual(['toString', 'SNOOP']);
});
