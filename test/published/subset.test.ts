/** Parts of the official examples (hl7.fhir.r4.examples 4.0.1). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseDocument } from '../../server/fhir/json.ts';
import { type Subset, SUBSETTED, subsetText } from '../../server/fhir/subset/subset.ts';
import { published } from '../support/published.ts';

const limits = { maxDepth: 64, maxBytes: 10_000_000 };
const tag = JSON.stringify(SUBSETTED);
const by = (...names: string[]): Subset => ({ by: 'elements', names: new Set(names) });

describe('of the official examples', () => {
  test('every part is made of the same tokens and no larger than the whole', () => {
    const folder = published('r4-examples');
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
      const { text, value } = parseDocument(readFileSync(join(folder, name), 'utf8'), limits);
      for (const subset of [{ by: 'true' }, { by: 'text' }, { by: 'data' }, by('identifier')] as const) {
        const part = parseDocument(subsetText(text, subset), limits);
        expect(Object.keys(part.value).every((member) => member === 'meta' || member in value)).toBe(true);
        expect(part.text.length).toBeLessThanOrEqual(text.length + tag.length + 20);
        if (subset.by !== 'data') continue;
        const { text: _text, meta: _meta, ...rest } = value;
        expect(part.value).toMatchObject(rest);
      }
    }
  });
});
