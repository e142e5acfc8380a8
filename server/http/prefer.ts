/** The Prefer header: how much to send back, and how strict to be. https://hl7.org/fhir/R4/http.html#ops, RFC 7240 */
import type { Row } from '../consent/gate.ts';
import { json, informed, versionHeaders, versionUrl } from './answer.ts';
import type { Answer, FhirRequest } from './interaction.ts';

export type Preference = { readonly return: 'minimal' | 'representation' | 'OperationOutcome'; readonly handling: 'strict' | 'lenient' };

/** Preferences are wishes: what is not understood is passed over, as RFC 7240 §2 says. */
export function preferenceOf(header: string | undefined): Preference {
  const wishes = new Map(
    (header ?? '').split(/[,;]/).map((part) => {
      const [name = '', value = ''] = part.split('=', 2);
      return [
        name.trim().toLowerCase(),
        value
          .trim()
          .replace(/^"(.*)"$/, '$1')
          .toLowerCase(),
      ] as const;
    }),
  );
  const amount = wishes.get('return');
  return {
    return: amount === 'minimal' ? 'minimal' : amount === 'operationoutcome' ? 'OperationOutcome' : 'representation',
    handling: wishes.get('handling') === 'strict' ? 'strict' : 'lenient',
  };
}

/** Says that a wish was heard, where it was uttered in words that are known. RFC 7240 §3 */
export function appliedHeaders({ header }: Pick<FhirRequest, 'header'>, name: keyof Preference): Record<string, string> {
  const preference = preferenceOf(header('prefer'));
  const asked = new RegExp(`(?:^|[,;])\\s*${name}\\s*=\\s*"?${preference[name]}"?\\s*(?:$|[,;])`, 'i').test(header('prefer') ?? '');
  return asked ? { 'preference-applied': `${name}=${preference[name]}` } : {};
}

/** The answer to a write, as much of it as was asked for. */
export function writeAnswer(request: FhirRequest, base: string, { status, row }: { readonly status: 200 | 201; readonly row: Row }): Answer {
  const wish = preferenceOf(request.header('prefer')).return;
  const url = versionUrl(base, row);
  const headers = { ...versionHeaders(row), location: url, ...appliedHeaders(request, 'return') };
  if (wish === 'minimal') return { status, headers, body: undefined };
  if (wish === 'OperationOutcome') return json(status, informed(status === 201 ? 'Created.' : 'Stored.'), headers);
  return { status, headers: { ...headers, 'content-location': url }, body: row.body };
}
