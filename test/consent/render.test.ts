import { expect, test } from 'vitest';
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
  ['en', 'en', 'I allow', 'But: I forbid'],
  ['zh-TW', 'zh', '我允许', '但是：我禁止'],
  ['fr', 'en', 'I allow', 'But: I forbid'],
])('everything the Consent decides is said (%s)', (asked, spoken, allow, forbid) => {
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
    'R, HIV',
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
