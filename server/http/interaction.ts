/**
 * The words every interaction shares: what a handler is given, what it answers, and one row of the REST table.
 * https://hl7.org/fhir/R4/http.html
 *
 * Invariant: a handler knows neither Fastify nor a store. It gets a Gate made for this caller, so the same handler serves a request of
 * its own and an entry of a batch.
 */
import type { Gate } from '../consent/gate.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import type { Services } from './services.ts';

export type Caller = Gate['caller'];
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
/** One letter of a SMART v2 scope: create, read, update, delete, search. */
export type ScopeLetter = 'c' | 'r' | 'u' | 'd' | 's';

export type Body =
  | { readonly kind: 'none' }
  | { readonly kind: 'resource'; readonly document: ResourceDocument }
  /** Exact text, strictly read, without insignificant white space. */
  | { readonly kind: 'json-patch'; readonly text: string }
  | { readonly kind: 'form'; readonly parameters: URLSearchParams }
  /** `variables`: exact JSON text. */
  | { readonly kind: 'graphql'; readonly query: string; readonly variables: string; readonly operation: string | undefined };

/** What stands in the path: '' where the row has no such segment. `member`: the type searched within a compartment. */
export type Target = { readonly type: string; readonly id: string; readonly version: string; readonly member: string };

export type FhirRequest = Target & {
  readonly gate: Gate;
  readonly query: URLSearchParams;
  /** Path and query as sent, relative to the base; for the audit record. */
  readonly url: string;
  /** Value of a request header, by lower-case name. */
  readonly header: (name: string) => string | undefined;
  readonly body: Body;
};

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Exact JSON text; undefined: no body. */
  readonly body: string | undefined;
  /** In the place of `body`: content that is no text of ours, with its mediaType. */
  readonly bytes?: Uint8Array;
  /** application/fhir+json or +xml unless the answer is no resource. */
  readonly mediaType?: string;
};

export type Handler = (request: FhirRequest, services: Services) => Promise<Answer>;

/**
 * `scope`: the letter the token must hold for the type; 'token': any valid token, because something else decides (each entry of a bundle,
 * a signature, the Gate); 'public': no token at all.
 */
export type Route = {
  readonly interaction: string;
  readonly method: Method;
  /** Relative to the base, with `:type`, `:id`, `:version` and `:member`. A literal type names the one type the row is for. */
  readonly path: string;
  readonly takes: 'nothing' | 'resource' | 'patch' | 'form' | 'graphql';
} & (
  | { readonly scope: ScopeLetter | 'token'; readonly handler: Handler }
  | { readonly scope: 'public'; readonly handler: (services: Services) => Promise<Answer> }
);
