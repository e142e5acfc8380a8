/**
 * Observation/$lastn: the newest observations of each code about one subject. https://hl7.org/fhir/R4/observation-operation-lastn.html
 * Invariant: what would be older or of another code is neither disclosed nor recorded, and what is hidden takes nobody's place.
 */
import { AssentError } from '../../errors.ts';
import { bundleText } from '../../fhir/bundle.ts';
import { receiptHeaders } from '../answer.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { countOf } from '../parameters.ts';
import { matchEntry } from '../search.ts';
import type { Services } from '../services.ts';
import { WHOLE } from '../subset.ts';
import { inputsOf, onlyInput } from './parameters.ts';

const TYPE = 'Observation';
const MOST_PER_CODE = 100;
/** Observations in one answer. */
const MOST = 2_000;
const RESULT_PARAMETERS = ['_sort', '_count', '_total', '_summary', '_elements', '_include', '_revinclude', '_cursor'];

export async function lastn(request: FhirRequest, { search, base }: Services): Promise<Answer> {
  const names = search.parametersOf(TYPE).map(({ name }) => name);
  const inputs = inputsOf(request, ['max', ...names]);
  const refused = RESULT_PARAMETERS.find((name) => inputs.has(name));
  if (refused !== undefined) throw new AssentError('invalid-request', `${refused} has no meaning for $lastn.`);
  onlyInput(inputs, 'max');
  const perCode = countOf(inputs, 'max', MOST_PER_CODE) ?? 1;
  if (perCode === 0) throw new AssentError('invalid-request', 'max must be at least 1.');
  inputs.delete('max');
  if (!inputs.has('patient') && !inputs.has('subject')) throw new AssentError('invalid-request', '$lastn needs the parameter patient or subject.');
  const plan = search.plan(TYPE, inputs, 'strict');
  const path = `${TYPE}/$lastn?${new URLSearchParams({ max: String(perCode) }).toString()}&${plan.used}`;
  const { rows, receipt } = await request.gate.latest({ where: plan.where, perCode, most: MOST, query: path });
  const entries = rows.map((row) => matchEntry(row, WHOLE, base));
  const links = [{ relation: 'self', url: `${base}/${path}` }];
  return { status: 200, headers: receiptHeaders(base, receipt), body: bundleText({ type: 'searchset', total: rows.length, links, entries }) };
}
