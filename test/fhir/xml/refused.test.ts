/** What the XML reader accepts and what it refuses, with the place and never with content. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssentError } from '../../../server/errors.ts';
import { parseDocument } from '../../../server/fhir/json.ts';
import { parseXml } from '../../../server/fhir/xml/read.ts';
import { xmlText } from '../../../server/fhir/xml/write.ts';

const limits = { maxDepth: 32, maxBytes: 1_000_000 };
const NS = 'xmlns="http://hl7.org/fhir"';
const patient = (inside: string) => `<Patient ${NS}>${inside}</Patient>`;
const div = (inside: string) => patient(`<text><status value="generated"/>${inside}</text>`);

function failure(source: string | Uint8Array): AssentError {
  try {
    parseXml(source, limits);
  } catch (error) {
    if (error instanceof AssentError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('accepted', () => {
  test.each<[string, string | Uint8Array, unknown]>([
    ['white space and comments between elements', patient('\n <!-- a --> <active value="true"/>\r\n'), { active: true }],
    ['a declaration', `<?xml version="1.0" encoding="utf-8" standalone='yes'?>${patient('')}`, {}],
    ['a byte order mark, which XML 1.0 allows', Buffer.from(`\uFEFF${patient('')}`), {}],
    ['a prefix for the FHIR namespace', '<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="false"/></f:Patient>', { active: false }],
    ['a schema location', `<Patient ${NS} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b"/>`, {}],
    ['attribute values are normalised as XML says', patient('<gender value="a\tb\r\nc&#10;d&#9;e"/>'), { gender: 'a b c\nd\te' }],
    ['character references', patient('<gender value="&#x1F600;&lt;&quot;&apos;&amp;"/>'), { gender: '😀<"\'&' }],
  ])('%s', (_name, source, expected) => {
    expect(parseXml(source, limits).value).toEqual({ resourceType: 'Patient', ...(expected as object) });
  });

  test('a narrative is taken character for character', () => {
    const whole = '<div xmlns="http://www.w3.org/1999/xhtml" class=\'x\' ><p >a &lt; b &#160;</p>\n<br /><![CDATA[<]]><!-- c --></div >';
    expect(parseXml(div(whole), limits).value['text']).toEqual({ status: 'generated', div: whole });
    expect(parseXml(div(whole.replaceAll('\n', '\r\n')), limits).value['text']).toEqual({ status: 'generated', div: whole });
  });

  test('one whose namespace stands outside is written so that it stands alone', () => {
    const source = `<Patient ${NS} xmlns:h="http://www.w3.org/1999/xhtml"><text><status value="generated"/><h:div><h:p class="a&amp;b">c &lt; d</h:p><h:br/></h:div></text></Patient>`;
    expect(parseXml(source, limits).value['text']).toEqual({
      status: 'generated',
      div: '<div xmlns="http://www.w3.org/1999/xhtml"><p class="a&#38;b">c &#60; d</p><br/></div>',
    });
  });

  test('a long document is read in pieces without a difference', () => {
    const family = `é😀${'x'.repeat(70_000)}\r\n`;
    const source = patient(`<name><family value="${'x'.repeat(65_400)}"/></name>`.concat(`<name><family value="${family}"/></name>`));
    const text = xmlText(parseXml(source, limits).text);
    expect(parseXml(text, limits).value['name']).toEqual([{ family: 'x'.repeat(65_400) }, { family: family.replace('\r\n', ' ') }]);
  });
});

describe('refused', () => {
  const bomb = `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">${Array.from({ length: 9 }, (_item, i) => `<!ENTITY a${i} "&a;&a;&a;">`).join('')}]>`;
  test.each<[string, string | Uint8Array, string, RegExp]>([
    ['nothing', '', 'invalid-xml', /root|end/],
    ['no XML', '{"resourceType":"Patient"}', 'invalid-xml', /root/],
    ['an open element', `<Patient ${NS}>`, 'invalid-xml', /line 1/],
    ['two roots', patient('') + patient(''), 'invalid-xml', /root/],
    ['a document type', `<!DOCTYPE Patient>${patient('')}`, 'invalid-xml', /document type/],
    [
      'an external entity',
      `<!DOCTYPE x [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>${patient('<gender value="&xxe;"/>')}`,
      'invalid-xml',
      /document type/,
    ],
    ['a billion laughs', bomb + patient('<gender value="&a8;"/>'), 'invalid-xml', /document type/],
    ['an undefined entity', patient('<gender value="&nbsp;"/>'), 'invalid-xml', /undefined entity/],
    ['a processing instruction', `<?php x?>${patient('')}`, 'invalid-xml', /Processing instructions/],
    ['a style sheet', `<?xml-stylesheet href="x"?>${patient('')}`, 'invalid-xml', /Processing instructions/],
    ['another encoding', `<?xml version="1.0" encoding="latin1"?>${patient('')}`, 'invalid-xml', /UTF-8/],
    ['UTF-16', Buffer.from(`\uFEFF${patient('')}`, 'utf16le'), 'invalid-xml', /UTF-8/],
    ['invalid UTF-8', Buffer.from([0x3c, 0xff, 0xfe]), 'invalid-xml', /UTF-8/],
    ['NUL', patient('<gender value="a\0b"/>'), 'invalid-xml', /disallowed character/],
    ['a reference to NUL', patient('<gender value="&#0;"/>'), 'invalid-xml', /character entity/],
    ['a reference to a surrogate', patient('<gender value="&#xD800;"/>'), 'invalid-xml', /character entity/],
    ['a lone surrogate', patient('<gender value="\ud800"/>'), 'invalid-xml', /UTF-8/],
    ['a doubled attribute', patient('<gender value="a" value="b"/>'), 'invalid-xml', /line 1/],
    ['XML 1.1', `<?xml version="1.1"?>${patient('<gender value="&#1;"/>')}`, 'invalid-xml', /1\.0/],
    ['a depth bomb', '<a>'.repeat(100_000), 'invalid-request', /root/],
    ['a depth bomb of extensions', patient('<extension url="x">'.repeat(30_000)), 'invalid-xml', /deeper/],
    ['a depth bomb in a narrative', div(`<div xmlns="http://www.w3.org/1999/xhtml">${'<div>'.repeat(100_000)}`), 'invalid-xml', /deeper/],
    ['no namespace', '<Patient/>', 'invalid-request', /namespace/],
    ['another namespace', '<Patient xmlns="urn:x"/>', 'invalid-request', /namespace/],
    ['no resource', `<HumanName ${NS}/>`, 'invalid-request', /namespace/],
    ['a path as a root', `<Patient.contact ${NS}/>`, 'invalid-request', /namespace/],
    ['too many bytes', patient('x'.repeat(1_000_001)), 'too-large', /bytes/],
  ])('%s', (_name, source, code, words) => {
    const error = failure(source);
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(words)]);
    expect(error.message).not.toMatch(/passwd|aaaa/);
  });

  test.each<[string, string, string, RegExp]>([
    ['an unknown element', '<nonsense value="a"/>', 'Patient.nonsense', /no such element.*line 1, column/],
    ['an unknown element inside', '<name/><name><familie value="a"/></name>', 'Patient.name[0]', /empty/],
    ['an element of another place', '<name><given value="a"/><birthDate value="2000"/></name>', 'Patient.name[0].birthDate', /no such element/],
    ['an element of another namespace', '<active xmlns="urn:x" value="true"/>', 'Patient.active', /no such element/],
    ['an attribute as an element', '<name><id value="a"/></name>', 'Patient.name[0].id', /no such element/],
    ['the wrong order', '<gender value="male"/><active value="true"/>', 'Patient.active', /order/],
    ['once only', '<active value="true"/><active value="true"/>', 'Patient.active', /once/],
    ['an unknown attribute', '<active value="true" x="y"/>', 'Patient.active', /attribute/],
    ['a value on what has none', '<name value="a"/>', 'Patient.name[0]', /attribute/],
    ['an attribute from elsewhere', '<active xmlns:x="urn:x" x:value="true"/>', 'Patient.active', /attribute/],
    ['text between', 'hello', 'Patient', /Text/],
    ['CDATA between', '<name><![CDATA[x]]></name>', 'Patient.name[0]', /Text/],
    ['an empty element', '<active/>', 'Patient.active', /empty/],
    ['an empty structure', '<name></name>', 'Patient.name[0]', /empty/],
    ['a number that is none', '<multipleBirthInteger value="+1"/>', 'Patient.multipleBirthInteger', /type/],
    ['a boolean that is none', '<active value="TRUE"/>', 'Patient.active', /type/],
    ['two resources in one place', '<contained><Basic/><Basic/></contained>', 'Patient.contained[0]', /one resource/],
    ['no resource in its place', '<contained><name/></contained>', 'Patient.contained[0]', /resource is expected/],
    ['a div that is not XHTML', '<text><status value="generated"/><div>a</div></text>', 'Patient.text.div', /no such element/],
    [
      'FHIR in a narrative',
      '<text><div xmlns="http://www.w3.org/1999/xhtml"><x xmlns="http://hl7.org/fhir"/></div></text>',
      'Patient.text.div',
      /XHTML/,
    ],
  ])('%s, with its place', (_name, inside, expression, words) => {
    const error = failure(patient(inside));
    expect([error.code, error.issues[0]?.expression, error.message]).toEqual(['invalid-resource', [expression], expect.stringMatching(words)]);
  });
});

describe('whatever comes', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(
        '<Patient xmlns="http://hl7.org/fhir">',
        '</Patient>',
        '<name>',
        '</name>',
        '<family value="',
        '"/>',
        '<div xmlns="http://www.w3.org/1999/xhtml">',
      ),
      fc.constantFrom(
        '<text>',
        '</div>',
        '</text>',
        '<!--',
        '-->',
        '<![CDATA[',
        ']]>',
        '<!DOCTYPE',
        '<?',
        '?>',
        '&#',
        '&#x',
        ';',
        '\0',
        ' ',
        '\r\n',
        '<contained>',
      ),
      fc.string({ unit: 'binary' }),
    ),
    { maxLength: 12 },
  );
  const check = (parts: readonly string[]): void => {
    try {
      const { text, value } = parseXml(parts.join(''), limits);
      expect(parseDocument(text, limits).value).toEqual(value);
    } catch (error) {
      if (!(error instanceof AssentError)) throw error;
    }
  };

  test('is a resource or our own error (a fixed seed and a new one)', () => {
    fc.assert(fc.property(pieces, check), { seed: 6, numRuns: 2000 });
    fc.assert(fc.property(pieces, check), { numRuns: 1000 });
  });

  test('bytes at random are our own error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => failure(bytes) instanceof AssentError),
      { numRuns: 500 },
    );
  });

  test('every string XML can carry comes back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        fc.pre(text.isWellFormed() && !/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/.test(text));
        const json = JSON.stringify({ resourceType: 'Basic', language: text });
        expect(parseXml(xmlText(json), limits).value).toEqual({ resourceType: 'Basic', language: text });
      }),
      { numRuns: 500 },
    );
  });
});
