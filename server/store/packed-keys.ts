/**
 * A resource's keys as one string, kept beside its body so that a criterion is checked without another look-up.
 * One key per line; `\n` and `\` inside a key are escaped, so any key comes back as it went in.
 */

export function packKeys(keys: readonly string[]): string {
  let packed = '';
  for (const key of keys) packed += `${NEEDS_ESCAPE.test(key) ? key.replaceAll('\\', '\\\\').replaceAll('\n', '\\n') : key}\n`;
  return packed;
}

export function unpackKeys(packed: string): string[] {
  const keys = packed.split('\n');
  keys.pop();
  return packed.includes('\\') ? keys.map((key) => key.replace(ESCAPED, (_, kind: string) => (kind === 'n' ? '\n' : '\\'))) : keys;
}

const NEEDS_ESCAPE = /[\\\n]/;
const ESCAPED = /\\(.)/g;
