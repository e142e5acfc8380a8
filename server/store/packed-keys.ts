/**
 * A resource's keys as one string, kept beside its body so that a criterion is checked without another look-up.
 * One key per line; `\n` and `\` inside a key are escaped, so any key comes back as it went in.
 */

export function packKeys(keys: readonly string[]): string {
  const packed = joined(keys);
  return packed.includes('\\') || linesOf(packed) !== keys.length ? joined(keys.map(escaped)) : packed;
}

function joined(keys: readonly string[]): string {
  return keys.length === 0 ? '' : `${keys.join('\n')}\n`;
}

function linesOf(packed: string): number {
  let lines = 0;
  for (let at = packed.indexOf('\n'); at !== -1; at = packed.indexOf('\n', at + 1)) lines++;
  return lines;
}

function escaped(key: string): string {
  return key.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

export function unpackKeys(packed: string): string[] {
  const keys = packed.split('\n');
  keys.pop();
  return packed.includes('\\') ? keys.map((key) => key.replace(ESCAPED, (_, kind: string) => (kind === 'n' ? '\n' : '\\'))) : keys;
}

const ESCAPED = /\\(.)/g;
