/** What the interactions are built from, handed in by the composition root. None of it can reach a store. */
import type { Clock } from '../clock.ts';
import type { BrokenGlass, Gate } from '../consent/gate.ts';
import type { Issue } from '../errors.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Search } from '../search/create-search.ts';
import type { Cursors } from '../search/page.ts';
import type { Router } from './router.ts';
import type { Answer, Body, Caller, Route, ScopeLetter } from './interaction.ts';

export type { Cursors, Search };

export type Limits = {
  /** Bytes of a request body, after decompression. */
  readonly bodyBytes: number;
  readonly jsonDepth: number;
  readonly bundleEntries: number;
  /** Bytes of large bodies that are worked on at once. */
  readonly bytesInFlight: number;
  /** Resources one conditional delete may remove. */
  readonly conditionalDeletes: number;
};

/**
 * Issues of each document, in order; it is acceptable when none of them is an error (see errorsAmong). `profiles`: what each must meet besides
 * what it claims. Large work runs off the event loop.
 */
export type Validate = (documents: readonly ResourceDocument[], profiles?: readonly string[]) => Promise<readonly (readonly Issue[])[]>;

/** Whether the token's scopes hold this letter for this type: by type alone, so the answer says nothing about what is stored. */
export type Allows = (caller: Caller, letter: ScopeLetter, type: string) => boolean;

/** One request that did not come over the wire itself: an entry of a bundle. */
export type InnerCall = {
  readonly gate: Gate;
  readonly method: string;
  /** Relative to the base, e.g. `Patient/1?_pretty=true`. */
  readonly url: string;
  readonly header: (name: string) => string | undefined;
  readonly body: Body;
};

export type Services = {
  /** Absolute FHIR base URL without a trailing slash. */
  readonly base: string;
  /** Absolute URL of the token endpoint, for the CapabilityStatement. */
  /** Absolute URLs, for /metadata. */
  readonly oauth: { readonly [endpoint in 'token' | 'authorize' | 'introspect' | 'revoke']: string };
  readonly limits: Limits;
  /** Whether references have to lead somewhere. */
  readonly integrity: boolean;
  /** Addresses of the profiles on board, by type. */
  readonly profiles: ReadonlyMap<string, readonly string[]>;
  readonly clock: Clock;
  readonly validate: Validate;
  readonly allows: Allows;
  readonly search: Search;
  readonly cursors: Cursors;
  readonly jobs: Jobs;
  /** The registration of a client, new with every change of it; undefined: there is no such client. */
  readonly registrationOf: (client: string) => Promise<string | undefined>;
  /** What reads with a broken glass. Only for what the Gate recorded. */
  readonly breakGlassToken: (caller: Caller, opened: BrokenGlass) => Promise<string>;
  readonly routes: readonly Route[];
  readonly router: Router;
  /** Runs an entry through the same table and the same checks as a request of its own. Throws AssentError. */
  readonly dispatch: (call: InnerCall) => Promise<Answer>;
  /** Logs a fault that did not become the answer of a whole request. */
  readonly report: (fault: unknown) => void;
};
