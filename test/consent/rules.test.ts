/** The printed table of rules: every example is decided as the rule says. */
import { expect, test } from 'vitest';
import { describeRules, isPermitted, rules } from '../../server/consent/rules.ts';

test.each(rules.flatMap(({ says, examples }) => examples.map((example, i) => [`${says} (${i + 1})`, example] as const)))('%s', (_says, example) =>
  expect(isPermitted(example)).toBe(example.permitted),
);

test('each rule is printed with what is decided of its examples, in words of the Consent', () => {
  const lines = describeRules();
  expect(lines.filter((line) => /^\d+\. /.test(line))).toHaveLength(rules.length);
  expect(lines).toContain('   denied     {type: permit, purpose: TREAT}: Organization/gh for ETREAT, nothing labelled');
  expect(lines.join('\n')).not.toMatch(/\[object|undefined/);
});
