/**
 * The driver's errors as ours: what passes by itself is `unavailable`, what is too big is `too-large`, the rest is a fault of the server.
 * https://www.mongodb.com/docs/manual/reference/error-codes/
 *
 * Invariant: a driver's message, which may hold a patient's data or a password, is only ever a cause, never a diagnostic.
 */
import { MongoBulkWriteError, MongoClientClosedError, MongoError, MongoNetworkError, MongoServerError, MongoServerSelectionError } from 'mongodb';
import { AssentError } from '../../errors.ts';

const RETRY_AFTER = 2;
const TOO_LARGE = new Set([10334, 17419, 17420]);
/** A transaction that needs more of the storage engine's cache than there is: it would need as much again. */
const TOO_LARGE_FOR_CACHE = 388;
const DUPLICATE_KEY = 11000;
const FAILED_VALIDATION = 121;
const DENIED = new Set([13, 18]);
/** Asked for something that will fail again: not a matter of waiting. */
const OURS = new Set([2, 9, 14, 51, 59, 66, 72, FAILED_VALIDATION, DUPLICATE_KEY]);

export function translate(error: unknown): unknown {
  if (error instanceof AssentError || !(error instanceof Error)) return error;
  if (isTooLargeForCache(error))
    return new AssentError('too-large', 'The write is more than MongoDB takes in one transaction; send it in parts.', { cause: error });
  if (isTooLarge(error)) return new AssentError('too-large', 'A document of this size cannot be stored.', { cause: error });
  if (error instanceof MongoServerSelectionError) return unavailable('No primary of the MongoDB replica set can be reached.', error);
  if (error instanceof MongoClientClosedError) return unavailable('The store is closed.', error);
  if (error instanceof MongoNetworkError) return unavailable('The connection to MongoDB was lost.', error);
  if (error instanceof MongoServerError) return ofServer(error);
  return error instanceof MongoError ? unavailable('MongoDB cannot be used at the moment.', error) : error;
}

function ofServer(error: MongoServerError): AssentError {
  const code = Number(error.code);
  if (DENIED.has(code)) return unavailable('MongoDB refuses the user or password of ASSENT_MONGODB_URI.', error);
  if (OURS.has(code)) return new AssentError('internal', undefined, { cause: error });
  return unavailable('MongoDB cannot answer safely at the moment.', error);
}

export function unavailable(diagnostics: string, cause?: unknown): AssentError {
  return new AssentError('unavailable', diagnostics, { retryAfter: RETRY_AFTER, cause });
}

/** Whether it is likely to pass by itself soon: an election, a member that was lost. Not so where nobody answers: that may be a wrong address. */
export function willPass(error: unknown): boolean {
  const { cause } = error instanceof AssentError ? error : { cause: error };
  if (cause instanceof MongoServerSelectionError) return [...(cause.reason?.servers.values() ?? [])].some(({ type }) => type !== 'Unknown');
  return mayPass(error) && !(cause instanceof MongoServerError && DENIED.has(Number(cause.code)));
}

/** The same where a set has answered before, so that its address is known to be right. */
export function mayPass(error: unknown): boolean {
  const ours = translate(error);
  return (
    ours instanceof AssentError && ours.code === 'unavailable' && ours.retryAfter !== undefined && !(ours.cause instanceof MongoClientClosedError)
  );
}

export function isDuplicate(error: unknown): boolean {
  return hasCode(error, DUPLICATE_KEY);
}

/** The document would not follow its collection's schema. */
export function isInvalid(error: unknown): boolean {
  return hasCode(error, FAILED_VALIDATION);
}

function hasCode(error: unknown, code: number): boolean {
  return error instanceof MongoServerError && (error.code === code || bulkCodes(error).includes(code));
}

export function hasLabel(error: unknown, label: 'TransientTransactionError' | 'UnknownTransactionCommitResult'): boolean {
  return error instanceof MongoError && error.hasErrorLabel(label);
}

function bulkCodes(error: MongoServerError): number[] {
  if (!(error instanceof MongoBulkWriteError)) return [];
  return [error.writeErrors].flat().map(({ code }) => code);
}

export function isTooLargeForCache(error: unknown): boolean {
  return hasCode(error, TOO_LARGE_FOR_CACHE);
}

function isTooLarge(error: Error): boolean {
  if (error instanceof MongoServerError) return TOO_LARGE.has(Number(error.code));
  return error.name === 'MongoInvalidArgumentError' && error.message.includes('larger than the maximum size');
}

/** A caller has an answer within this time, whatever becomes of the primary or the network. */
export const ANSWER_MS = 5_000;

export const LATE = Symbol('late');

/** What `work` comes to, or LATE when it takes longer; then it goes on unheard. */
export async function inTime<T>(work: Promise<T>, ms: number): Promise<T | typeof LATE> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The same as `guarded` for what somebody waits for: after ANSWER_MS it is unavailable. */
export async function promptly<T>(work: () => Promise<T>): Promise<T> {
  const answer = await inTime(guarded(work), ANSWER_MS);
  if (answer === LATE) throw unavailable('MongoDB did not answer in time.');
  return answer;
}

/** Runs `work`, its failure in our terms. */
export async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translate(error);
  }
}
