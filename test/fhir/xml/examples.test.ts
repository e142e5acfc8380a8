/** Exact both ways: our own samples; test/published/xml.test.ts has the official examples. */
import { describe, expect, test } from 'vitest';
import committed from '../../../server/fhir/elements/table.json' with { type: 'json' };
import { parseDocument } from '../../../server/fhir/json.ts';
import { parseXml } from '../../../server/fhir/xml/read.ts';
import { xmlText } from '../../../server/fhir/xml/write.ts';
import { buildElementTable } from '../../support/element-table.ts';

const limits = { maxDepth: 64, maxBytes: 10_000_000 };

/** Every number as it is written. */
function numbersOf(text: string): string[] {
  return (text.replace(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?\d[\d.eE+-]*/g) ?? []).sort();
}

function expectExact(json: string): void {
  const sent = parseDocument(json, limits);
  const back = parseXml(xmlText(sent.text), limits);
  expect(back.value).toEqual(sent.value);
  expect(numbersOf(back.text)).toEqual(numbersOf(sent.text));
}

test('the table of elements is what the R4 definitions give', () => {
  expect(committed).toEqual(JSON.parse(JSON.stringify(buildElementTable())));
});

describe('JSON to XML to JSON', () => {
  test.each<[string, string]>([
    ['a bare resource', '{"resourceType":"Basic"}'],
    ['an empty bundle', '{"resourceType":"Bundle","type":"collection"}'],
    ['digits', '{"resourceType":"Observation","valueQuantity":{"value":1.50},"referenceRange":[{"low":{"value":-0.0},"high":{"value":1.0e-7}}]}'],
    ['Unicode and white space', `{"resourceType":"Basic","language":${JSON.stringify(' a\tb\nc\rd  é 😀 <&>"\' \u00a0\u2028')}}`],
    [
      'ids and extensions of primitives',
      '{"resourceType":"Patient","_birthDate":{"id":"b","extension":[{"url":"urn:x","valueString":"y"}]},"birthDate":"2000"}',
    ],
    ['a primitive that is only an extension', '{"resourceType":"Patient","_active":{"extension":[{"url":"urn:x","valueBoolean":true}]}}'],
    [
      'holes in arrays',
      '{"resourceType":"Patient","name":[{"given":["a",null,"c"],"_given":[null,{"id":"i"},{"extension":[{"url":"urn:x","valueDecimal":1.0}]}]}]}',
    ],
    [
      'contained resources',
      '{"resourceType":"Basic","contained":[{"resourceType":"Patient","id":"p"},{"resourceType":"Organization","id":"o","name":"x"}]}',
    ],
    [
      'a narrative',
      `{"resourceType":"Basic","text":{"status":"generated","div":${JSON.stringify('<div xmlns="http://www.w3.org/1999/xhtml">a <b class=\'x\'>&lt;b&gt;</b>\n<br/><br></br> &#233;<!-- c --></div>')}}}`,
    ],
    [
      'parameters with resources',
      '{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Patient"}},{"name":"b","part":[{"name":"c","valueInteger":-1}]}]}',
    ],
    [
      'an outcome in an answer',
      '{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"404","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}}}]}',
    ],
    ['an element named resourceType', '{"resourceType":"ExampleScenario","instance":[{"resourceId":"a","resourceType":"Patient"}]}'],
    [
      'nested items',
      '{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"group","item":[{"linkId":"1.1","type":"string"}]}]}',
    ],
    [
      'every kind of choice',
      '{"resourceType":"Basic","extension":[{"url":"urn:a","valueBase64Binary":"AA=="},{"url":"urn:b","valueCodeableConcept":{"text":"c"}},{"url":"urn:c","valueBoolean":false}]}',
    ],
  ])('%s', (_name, json) => expectExact(json));

  test('the XML is in the order of the definition, with attributes where FHIR has them', () => {
    const xml = xmlText(
      '{"name":[{"family":"f","id":"n"}],"resourceType":"Patient","gender":"male","id":"a","extension":[{"url":"urn:x","valueInteger":1}]}',
    );
    expect(xml).toBe(
      '<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir"><id value="a"/><extension url="urn:x"><valueInteger value="1"/></extension>' +
        '<name id="n"><family value="f"/></name><gender value="male"/></Patient>',
    );
  });

  test('line ends of a narrative are those of XML, also within tags', () => {
    const xml = xmlText('{"resourceType":"Basic","text":{"status":"generated","div":"<div>a\\r\\n<b\\r\\nclass=\'x\'>c</b>\\r</div>"}}');
    expect(xml).toContain('<div xmlns="http://www.w3.org/1999/xhtml">a\n<b\nclass=\'x\'>c</b>\n</div>');
  });

  test('named characters of HTML become numbers, and a namespace is declared where the JSON had none', () => {
    const xml = xmlText('{"resourceType":"Basic","text":{"status":"generated","div":"<div>a&nbsp;b&mdash;c&amp;d</div>"}}');
    expect(xml).toContain('<div xmlns="http://www.w3.org/1999/xhtml">a&#160;b&#8212;c&amp;d</div>');
  });

  test.each([
    ['a narrative that would break out', '{"resourceType":"Basic","text":{"status":"generated","div":"<div>a</div><extension url=\\"urn:x\\"/>"}}'],
    ['a narrative of another namespace', '{"resourceType":"Basic","text":{"status":"generated","div":"<div xmlns=\\"urn:x\\">a</div>"}}'],
    ['a narrative that is not well-formed', '{"resourceType":"Basic","text":{"status":"generated","div":"<div>a<br></div>"}}'],
    ['a narrative with an entity', '{"resourceType":"Basic","text":{"status":"generated","div":"<div>&xxe;</div>"}}'],
    ['an unknown element', '{"resourceType":"Patient","nonsense":1}'],
    ['an unknown type', '{"resourceType":"Nonsense"}'],
    ['a character that XML has not', '{"resourceType":"Basic","language":"a\\u0001"}'],
    ['a string where a number belongs', '{"resourceType":"Observation","valueQuantity":{"value":"1"}}'],
  ])('%s is refused, not dropped', (_name, json) => {
    expect(() => xmlText(json)).toThrow(expect.objectContaining({ code: 'not-acceptable' }));
  });
});
