/**
 * What a CapabilityStatement claims, one line each. A member of the statement that is not known here is a claim as well, which nothing
 * exercises: so nothing can be claimed beside the test. https://hl7.org/fhir/R4/capabilitystatement.html
 */
export type Statement = { readonly [member: string]: unknown };

/** `of`: a type, `''` for the system. `name`: what is claimed, by its group: `interaction read`, `search gender`, `conditionalRead full-support`. */
export type Claim = { readonly of: string; readonly group: string; readonly name: string; readonly detail: string };

/** Words about the statement itself: they promise nothing. */
const DESCRIPTION = ['resourceType', 'id', 'meta', 'text', 'url', 'name', 'title', 'version', 'status', 'date', 'publisher', 'kind', 'software'];

export function claimsOf(statement: Statement): Claim[] {
  const { rest, ...whole } = statement;
  const [server = {}, ...others] = list(rest);
  const { resource, mode, ...system } = server;
  const heads = Object.entries(whole).filter(([member]) => !DESCRIPTION.includes(member));
  return [
    ...heads.flatMap(([member, value]) => claimed('', member, value)),
    ...others.map((_other, i) => claim('', 'rest', String(i + 1))),
    claim('', 'mode', String(mode)),
    ...Object.entries(system).flatMap(([member, value]) => claimed('', member, value)),
    ...list(resource).flatMap(claimsOfType),
  ];
}

function claimsOfType({ type, profile: _profile, documentation: _documentation, ...rest }: Statement): Claim[] {
  return Object.entries(rest).flatMap(([member, value]) => claimed(String(type), member, value));
}

function claimed(of: string, member: string, value: unknown): Claim[] {
  if (member === 'interaction') return list(value).map(({ code }) => claim(of, member, String(code)));
  if (member === 'searchParam') return list(value).map(({ name, type }) => claim(of, member, String(name), String(type)));
  if (member === 'operation') return list(value).map(({ name, definition }) => claim(of, member, String(name), String(definition)));
  if (Array.isArray(value)) return value.map((item) => claim(of, member, String(item)));
  const text = JSON.stringify(value);
  return [typeof value === 'object' ? claim(of, member, '', text) : claim(of, member, text.replaceAll('"', ''))];
}

function claim(of: string, group: string, name: string, detail = ''): Claim {
  return { of, group, name, detail };
}

function list(value: unknown): Statement[] {
  return Array.isArray(value) ? (value as Statement[]) : [];
}

export function textOf({ of, group, name, detail }: Claim): string {
  return [of || 'system', group, name, detail].filter((part) => part !== '').join(' ');
}
