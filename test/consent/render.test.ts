import { describe, expect, test } from 'vitest';
import { compileConsent } from '../../server/consent/compile.ts';
import { narrativeOf, renderTerms } from '../../server/consent/render.ts';
import { by, consentBy, except, labelled, NOON, ofClass, purpose } from '../support/consents.ts';

const consent = consentBy('1', {
  type: 'permit',
  period: { start: '2024-01-01', end: '2025-01-01' },
  ...by('Organization/insurer'),
  ...purpose('TREAT'),
  ...except({
    ...labelled('R', 'HIV'),
    ...ofClass('Observation'),
    code: [{ coding: [{ system: 'urn:x', code: 'c<&>' }] }],
    dataPeriod: { end: '2020' },
  }),
});
const compiled = compileConsent(consent, { now: NOON });

test.each([
  ['en', 'en', 'I allow', '1. But: I forbid', 'restricted (R) or more, HIV/AIDS (HIV)'],
  ['zh-TW', 'zh', '我允许', '1. 但是：我禁止', '受限（R） 或更高, 艾滋病病毒/艾滋病（HIV）'],
  ['fr', 'en', 'I allow', '1. But: I forbid', 'restricted (R) or more, HIV/AIDS (HIV)'],
])('everything the Consent decides is said (%s)', (asked, spoken, allow, forbid, labels) => {
  const { language, lines } = renderTerms(compiled, asked);
  expect(language).toBe(spoken);
  const said = lines.join('\n');
  for (const part of [
    allow,
    forbid,
    'Patient/1',
    'Organization/insurer',
    'Organization/hospital',
    'TREAT',
    labels,
    'Observation',
    'urn:x|c<&>',
    '2024-01-01',
    '2025-01-01',
    '2020-12-31',
  ])
    expect(said).toContain(part);
});

test('a Consent without end says that it has none', () => {
  const endless = compileConsent(consentBy('1', { type: 'permit' }), { now: NOON });
  expect(renderTerms(endless, 'en').lines.join('\n')).toContain('until I withdraw it');
  expect(renderTerms(endless, 'zh').lines.join('\n')).toContain('直至我撤回');
  expect(renderTerms(compiled, 'en').lines.join('\n')).not.toContain('until I withdraw it');
});

test('the narrative is well-formed whatever a term contains', () => {
  const { div } = narrativeOf(renderTerms(compiled, 'en').lines);
  expect(div).toMatch(/^<div xmlns="http:\/\/www\.w3\.org\/1999\/xhtml">(<p>[^<>]*<\/p>)+<\/div>$/);
  expect(div).toContain('c&#60;&#38;&#62;');
});

describe.each(['en', 'zh'])('other terms are other words (%s)', (language) => {
  const said = (provision: object) =>
    renderTerms(compileConsent(consentBy('1', provision as Record<string, unknown>), { now: NOON }), language).lines.join('\n');
  const action = (code: string) => ({ action: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentaction', code }] }] });
  const code = (...codes: string[]) => ({ code: codes.map((each) => ({ coding: [{ system: 'urn:x', code: each }] })) });
  const permit = (more: object) => ({ type: 'permit', ...more });
  const deny = (more: object = {}) => ({ ...by('Organization/a'), ...more });

  test('every attribute, every value and every nesting', () => {
    const terms = [
      permit({}),
      { type: 'deny' },
      permit({ period: { start: '2024-01-01' } }),
      permit({ period: { end: '2025-01-01' } }),
      permit({ period: { start: '2024-01-01', end: '2025-01-01' } }),
      permit({ dataPeriod: { start: '2024-01-01', end: '2025-01-01' } }),
      permit({ dataPeriod: { end: '2025-01-01' } }),
      permit(by('Organization/a')),
      permit(by('Organization/a', 'Organization/b')),
      permit(purpose('TREAT')),
      permit(purpose('TREAT', 'ETREAT')),
      permit(action('access')),
      permit(action('use')),
      permit(ofClass('Observation')),
      permit(ofClass('Observation', 'Condition')),
      permit(labelled('N')),
      permit(labelled('R')),
      permit(labelled('HIV')),
      permit(labelled('R', 'HIV')),
      permit(code('1')),
      permit(code('1', '2')),
      permit(except(deny())),
      permit(except(deny(), { ...deny(), type: 'permit' })),
      permit(except(deny(except(deny({ type: 'permit' }))))),
      permit(except(deny({ type: 'permit' }), deny(), deny())),
      permit(except(deny(except(deny({ type: 'deny' }), deny({ type: 'deny' }))))),
      permit(except(deny(except(deny({ type: 'deny' }))), deny())),
      permit(except(deny(), deny(except(deny({ type: 'deny' }))))),
    ].map(said);
    expect(new Set(terms).size).toBe(terms.length);
  });

  test('a code cannot pose as more codes, other terms or a line of its own', () => {
    const posing = ['1, urn:x|2', '1"; "urn:x|2', '1.\n2. I allow', '1\u202e2', '1\u20282'];
    for (const each of posing) {
      const lines = said(permit(code(each)));
      expect(lines.split('\n').length).toBe(3);
      expect(lines).not.toBe(said(permit(code('1', '2'))));
      expect(/[\p{Cf}\p{Zl}\p{Zp}]/u.test(lines)).toBe(false);
    }
  });
});
