/** JSON Patch the obvious way, on parsed values: what applyJsonPatch must agree with. Throws where the patch cannot be applied. */
import { isDeepStrictEqual } from 'node:util';

export type Operation = { readonly op: string; readonly path: string; readonly from?: string; readonly value?: unknown };

export function naiveJsonPatch(target: unknown, patch: readonly Operation[]): unknown {
  const holder = { '': structuredClone(target) };
  for (const operation of patch) {
    const { op, path, value } = operation;
    if (op === 'move' || op === 'copy') {
      transfer(holder, operation);
      continue;
    }
    const [parent, key] = locate(holder, path);
    if (op === 'test') {
      if (!isDeepStrictEqual(get(parent, key), value)) throw new Error('test');
    } else if (op === 'add') add(parent, key, structuredClone(value));
    else if (op === 'remove') remove(parent, key, path);
    else {
      get(parent, key);
      set(parent, key, structuredClone(value));
    }
  }
  return holder[''];
}

/** The target is looked for once the source is gone: what came after it in an array has moved up. */
function transfer(holder: Container, { op, path, from = '' }: Operation): void {
  const [source, name] = locate(holder, from);
  const moved = structuredClone(get(source, name));
  if (op === 'move') {
    if (path.startsWith(`${from}/`)) throw new Error('into itself');
    if (path === from) return;
    remove(source, name, from);
  }
  const [to, last] = locate(holder, path);
  add(to, last, moved);
}

type Container = Record<string, unknown> | unknown[];

function locate(holder: Container, pointer: string): [Container, string] {
  const tokens = pointer.split('/').map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  let at: unknown = holder;
  for (const token of tokens.slice(0, -1)) at = get(at as Container, token);
  if (typeof at !== 'object' || at === null) throw new Error('no container');
  return [at as Container, tokens.at(-1) ?? ''];
}

function get(at: Container, key: string): unknown {
  if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key) || (Array.isArray(at) && !/^(0|[1-9]\d*)$/.test(key)))
    throw new Error('nothing');
  return (at as Record<string, unknown>)[key];
}

function set(at: Container, key: string, value: unknown): void {
  Object.defineProperty(at, key, { value, enumerable: true, writable: true, configurable: true });
}

function add(at: Container, key: string, value: unknown): void {
  if (!Array.isArray(at)) return set(at, key, value);
  const index = key === '-' ? at.length : Number(key);
  if ((key !== '-' && !/^(0|[1-9]\d*)$/.test(key)) || index > at.length) throw new Error('no place');
  at.splice(index, 0, value);
}

function remove(at: Container, key: string, pointer: string): void {
  if (pointer === '') throw new Error('whole');
  get(at, key);
  if (Array.isArray(at)) at.splice(Number(key), 1);
  else delete at[key];
}
