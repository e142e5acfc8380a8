/**
 * Checks sources against the table in rooms.ts. Works on texts, not on the disk, so that a planted violation is a string.
 * Type-only imports count: whoever can name a store's type can be handed one.
 */
import { posix } from 'node:path';
import { parseSync } from 'vite';
import { ambientReads, limits, portFile, recordNames, rooms, sizeExempt, storeHolders, storeNames, walledPackages } from './rooms.ts';

export type Sources = ReadonlyMap<string, string>;
type Node = { readonly type: string; readonly start: number; readonly end: number; readonly [key: string]: unknown };
type Import = { readonly from: string; readonly names: readonly string[] };

/** One sentence per broken rule; throws when there is nothing to look at. */
export function violations(sources: Sources): string[] {
  if (sources.size === 0) throw new Error('No source file was examined.');
  return [...sources].flatMap(([path, text]) => {
    const nodes = [...walk(parse(path, text))];
    return [...importViolations(path, nodes), ...ambientViolations(path, nodes), ...sizeViolations(path, text, nodes)];
  });
}

/** How many imports between rooms were judged: proof that the table was applied to something. */
export function countImports(sources: Sources): number {
  return [...sources].reduce(
    (sum, [path, text]) => sum + [...walk(parse(path, text))].flatMap(importsOf).filter(({ from }) => from.startsWith('.')).length,
    0,
  );
}

export function roomOf(path: string): string | undefined {
  return Object.entries(rooms).find(([, { files }]) => files.test(path))?.[0];
}

function importViolations(path: string, nodes: readonly Node[]): string[] {
  const room = roomOf(path);
  if (room === undefined) return [`${path} is in no room of the table.`];
  return nodes.flatMap(importsOf).flatMap((entry) => (entry.from.startsWith('.') ? judgeLocal(path, room, entry) : judgePackage(path, entry)));
}

function judgeLocal(path: string, room: string, { from, names }: Import): string[] {
  const target = posix.join(posix.dirname(path), from);
  if (target.endsWith('.json')) return [];
  const other = roomOf(target);
  if (other === undefined) return [`${path} imports ${target}, which is in no room.`];
  if (target === portFile && names.some((name) => storeNames.has(name) || name === '*') && !storeHolders.has(room))
    return [`${path} names a store of patient data: only app.ts, commands/, migrations/ and consent/enforce may.`];
  const allowed = rooms[room]?.mayImport ?? [];
  const open = other === room || allowed.includes('*') || allowed.includes(other);
  const recordsOnly = target === portFile && allowed.includes('records') && names.every((name) => recordNames.has(name));
  return open || recordsOnly ? [] : [`${path} (${room}) may not import ${target} (${other}).`];
}

function judgePackage(path: string, { from }: Import): string[] {
  const wall = walledPackages[from];
  return wall && !wall.test(path) ? [`${path} imports ${from}, which lives behind ${wall.source}.`] : [];
}

function ambientViolations(path: string, nodes: readonly Node[]): string[] {
  return nodes.flatMap((node) => {
    const read = ambientRead(node);
    return read !== undefined && ambientReads[read] !== path ? [`${path} reads ${read}: only ${ambientReads[read]} does.`] : [];
  });
}

/** `process.env`, `Date.now`, and what amounts to them: `new Date()` and `import { env } from 'node:process'`. */
function ambientRead(node: Node): string | undefined {
  const name = (part: unknown) => (part as { name?: string; value?: string }).name ?? (part as { value?: string }).value;
  if (node.type === 'MemberExpression') {
    const dotted = `${name(node['object'])}.${name(node['property'])}`;
    return dotted in ambientReads ? dotted : undefined;
  }
  if (node.type === 'NewExpression' && name(node['callee']) === 'Date' && (node['arguments'] as unknown[]).length === 0) return 'Date.now';
  return importsOf(node).some(({ from, names }) => /^(node:)?process$/.test(from) && names.includes('env')) ? 'process.env' : undefined;
}

function sizeViolations(path: string, text: string, nodes: readonly Node[]): string[] {
  if (path in sizeExempt) return [];
  const lines = (from: number, to: number) => text.slice(from, to).split('\n').length;
  const total = text.trimEnd().split('\n').length;
  const found = total > limits.fileLines ? [`${path} has ${total} lines, more than ${limits.fileLines}.`] : [];
  for (const node of nodes) {
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) continue;
    const at = `${path}:${lines(0, node.start)}`;
    const length = lines(node.start, node.end);
    const parameters = (node['params'] as unknown[]).length;
    if (length > limits.functionLines) found.push(`${at} a function of ${length} lines, more than ${limits.functionLines}.`);
    if (parameters > limits.parameters) found.push(`${at} a function of ${parameters} parameters, more than ${limits.parameters}.`);
  }
  return found;
}

function parse(path: string, text: string): Node {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path} cannot be parsed: ${errors[0]?.message}`);
  return program as unknown as Node;
}

function* walk(node: Node): Generator<Node> {
  yield node;
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (child !== null && typeof child === 'object' && typeof (child as Node).type === 'string') yield* walk(child as Node);
    }
  }
}

/** Static imports, re-exports, `import()` and `import('…').Type`; a whole-module import names `*`. */
function importsOf(node: Node): Import[] {
  const source = (node['source'] ?? node['argument']) as { value?: unknown; literal?: { value?: unknown } } | null | undefined;
  const from = source?.value ?? source?.literal?.value;
  if (typeof from !== 'string') return [];
  if (node.type === 'ImportExpression' || node.type === 'TSImportType' || node.type === 'ExportAllDeclaration') return [{ from, names: ['*'] }];
  if (node.type !== 'ImportDeclaration' && node.type !== 'ExportNamedDeclaration') return [];
  const specifiers = node['specifiers'] as { type: string; imported?: { name?: string }; local?: { name?: string } }[];
  return [{ from, names: specifiers.map((s) => (s.type === 'ImportNamespaceSpecifier' ? '*' : (s.imported?.name ?? s.local?.name ?? 'default'))) }];
}
