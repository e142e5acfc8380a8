/**
 * $graphql, of the system and of a resource: GET with query=, POST with application/json or application/graphql.
 * https://hl7.org/fhir/R4/graphql.html
 *
 * Invariants: it can only read, each resource through the Gate, audited with its receipt; scopes are checked by type before anything is read.
 */
import type { OperationDefinitionNode } from 'graphql';
import { AssentError } from '../../errors.ts';
import { objectText } from '../../fhir/json-text.ts';
import { parseJson } from '../../fhir/json.ts';
import { notFound, receiptHeaders } from '../answer.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { variablesOf } from './graphql-arguments.ts';
import { outputText } from './graphql-output.ts';
import { compile, fragmentsOf, type PlanField } from './graphql-plan.ts';
import { refuse } from './graphql-arguments.ts';
import { createRun, runQuery } from './graphql-run.ts';

const MOST_TOKENS = 4_000;
const MOST_CHARACTERS = 100_000;

export async function graphql(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, ['query', 'variables', 'operationName']);
  const { type, id, gate } = request;
  if (id !== '') checkId(id);
  const plan = await planOf(request, services);
  const run = createRun(request, services);
  const instance = id === '' ? undefined : await gate.read(type, id);
  if (instance && instance.kind === 'absent') throw notFound();
  if (instance && instance.kind === 'gone') throw new AssentError('gone');
  if (instance?.receipt !== undefined) run.receipts.push(instance.receipt);
  const output = await runQuery(run, plan, instance?.row);
  const receipts = run.receipts.map((receipt) => receiptHeaders(services.base, receipt)['assent-receipt']);
  const body = objectText([
    ['data', outputText(output)],
    ['errors', run.errors.length > 0 ? JSON.stringify(run.errors) : undefined],
    ['extensions', receipts.length > 0 ? JSON.stringify({ receipts }) : undefined],
  ]);
  return { status: 200, headers: receiptHeaders(services.base, run.receipts.at(-1)), body, mediaType: 'application/json; charset=utf-8' };
}

type Asked = { readonly query: string; readonly variables: string; readonly operation: string | undefined };

function askedIn({ query, body }: FhirRequest, { limits }: Services): Asked {
  if (body.kind === 'graphql') return body;
  const text = query.get('query');
  if (text === null) throw refuse('a query is needed.');
  const variables = parseJson(query.get('variables') ?? '{}', { maxDepth: limits.jsonDepth, maxBytes: limits.bodyBytes }).text;
  return { query: text, variables, operation: query.get('operationName') ?? undefined };
}

async function planOf(request: FhirRequest, services: Services): Promise<readonly PlanField[]> {
  const { query, variables, operation } = askedIn(request, services);
  const { definitions, fragments } = await parsed(query);
  const asked = definitions.filter(({ name }) => operation === undefined || name?.value === operation);
  const [only, second] = asked;
  if (!only || second) throw refuse('operationName must name the one operation to run.');
  if (only.operation !== 'query') throw refuse('queries only: what is stored is changed through the REST interactions.');
  return compile(only.selectionSet, request.type === '' ? undefined : request.type, {
    fragments,
    variables: variablesOf(only, variables),
    searchNames: (type) => services.search.parametersOf(type).map(({ name }) => name),
    need: (letter, type) => {
      if (!services.allows(request.gate.caller, letter, type))
        throw new AssentError('forbidden', `The token holds no scope ${letter} for a type in this query.`);
    },
  });
}

type Parsed = { readonly definitions: readonly OperationDefinitionNode[]; readonly fragments: ReturnType<typeof fragmentsOf> };

/** Loaded when first asked for: most servers never are. */
async function parsed(query: string): Promise<Parsed> {
  if (query.length > MOST_CHARACTERS) throw new AssentError('too-large', `A GraphQL query may have ${MOST_CHARACTERS} characters.`);
  const { GraphQLError, parse } = await import('graphql');
  try {
    const document = parse(query, { maxTokens: MOST_TOKENS, noLocation: true });
    const definitions = document.definitions.flatMap((definition) => (definition.kind === 'OperationDefinition' ? [definition] : []));
    return { definitions, fragments: fragmentsOf(document) };
  } catch (error) {
    // The parser's own words repeat what was sent.
    if (!(error instanceof GraphQLError)) throw error;
    const [at] = error.locations ?? [];
    throw refuse(at ? `the query cannot be read at line ${at.line}, column ${at.column}.` : 'the query cannot be read.');
  }
}
