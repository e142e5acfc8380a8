/** The official examples (hl7.fhir.r4.examples 4.0.1) in XML and back. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseDocument } from '../../server/fhir/json.ts';
import { parseXml } from '../../server/fhir/xml/read.ts';
import { xmlText } from '../../server/fhir/xml/write.ts';
import { published } from '../support/published.ts';

const limits = { maxDepth: 64, maxBytes: 10_000_000 };

/** Every number as it is written. */
function numbersOf(text: string): string[] {
  return (text.replace(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?\d[\d.eE+-]*/g) ?? []).sort();
}

test('come back with every value and every digit', () => {
  const folder = published('r4-examples');
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  expect(files.length).toBe(726);
  for (const name of files) {
    const sent = parseDocument(readFileSync(join(folder, name), 'utf8'), limits);
    const back = parseXml(xmlText(sent.text), limits);
    expect(back.value, name).toEqual(sent.value);
    expect(numbersOf(back.text), name).toEqual(numbersOf(sent.text));
  }
});
