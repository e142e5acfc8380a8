/**
 * Finds the row of the REST table for a method and a path: for entries of a bundle, and to tell a wrong method from a wrong path.
 * Invariant: it gives the same row that Fastify gives for the same request.
 */
import { AssentError } from '../errors.ts';
import type { Route, Target } from './interaction.ts';

export type Match =
  | { readonly kind: 'row'; readonly route: Route; readonly target: Target }
  | { readonly kind: 'other-method'; readonly allow: readonly string[] }
  | { readonly kind: 'none' };

export type Router = (method: string, path: string) => Match;

/** A literal segment wins over a parameter at the same place, as in Fastify. */
export function createRouter(routes: readonly Route[]): Router {
  const rows = routes.map((route) => ({ route, segments: split(route.path) })).sort((a, b) => literals(b.segments) - literals(a.segments));
  return (method, path) => {
    const segments = split(path).map(decode);
    const fitting = rows.filter((row) => fits(row.segments, segments));
    const wanted = method === 'HEAD' ? 'GET' : method;
    const found = fitting.find(({ route }) => route.method === wanted);
    if (found) return { kind: 'row', route: found.route, target: targetOf(found.segments, segments) };
    if (fitting.length === 0) return { kind: 'none' };
    return { kind: 'other-method', allow: allowed(fitting.map(({ route }) => route.method)) };
  };
}

const FIRST_SEGMENT = /^\/?([^/]*)/;

/** The type a row is for: a literal first segment, or the one in the path. */
export function typeOfRow(route: Route, parameters: { readonly type?: string }): string {
  const [, first = ''] = FIRST_SEGMENT.exec(route.path) ?? [];
  return first.startsWith(':') ? (parameters.type ?? '') : literalType(first);
}

/** `_history` and `$meta` at the first place are of no type. */
function literalType(segment: string): string {
  return /^[_$]/.test(segment) ? '' : segment;
}

function split(path: string): string[] {
  const trimmed = path.replace(/^\//, '').replace(/\/$/, '');
  return trimmed === '' ? [] : trimmed.split('/');
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new AssentError('invalid-request', 'The URL holds a malformed percent-encoding.');
  }
}

function literals(segments: readonly string[]): number {
  // Earlier literals weigh more: /Consent/:id/… before /:type/:id/…
  return segments.reduce((sum, segment, i) => sum + (segment.startsWith(':') ? 0 : 2 ** (8 - i)), 0);
}

function fits(pattern: readonly string[], segments: readonly string[]): boolean {
  return pattern.length === segments.length && pattern.every((part, i) => part === segments[i] || (part.startsWith(':') && segments[i] !== ''));
}

function targetOf(pattern: readonly string[], segments: readonly string[]): Target {
  const value = (name: string): string => segments[pattern.indexOf(`:${name}`)] ?? '';
  const [first = ''] = pattern;
  const type = first.startsWith(':') ? value('type') : literalType(first);
  return { type, id: value('id'), version: value('version'), member: value('member') };
}

function allowed(methods: readonly string[]): readonly string[] {
  return [...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))), 'OPTIONS'];
}
