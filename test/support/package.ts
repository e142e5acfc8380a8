/** Packages of definitions as publishers make them, for tests: a gzipped tar of JSON files under package/. */
import { writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';

export type PackedFile = Partial<Header> & { readonly name: string; readonly content: unknown };

export const manifest = (more: object = {}): PackedFile => ({
  name: 'package/package.json',
  content: { name: 'test.package', version: '1.0.0', fhirVersions: ['4.0.1'], ...more },
});

export async function archiveOf(files: readonly PackedFile[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of files) archive.entry(header, typeof content === 'string' ? content : JSON.stringify(content));
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}

/** Writes an archive; resources stand in it by their place in the list. */
export async function writePackage(path: string, resources: readonly object[], more: object = {}): Promise<string> {
  await writeFile(path, await archiveOf([manifest(more), ...resources.map((content, i) => ({ name: `package/resource-${i}.json`, content }))]));
  return path;
}

type ElementRule = { readonly id: string; readonly [rule: string]: unknown };

/** A profile that says only what differs from its base; paths and slice names come from the ids. */
export function profileOf(name: string, type: string, elements: readonly ElementRule[], more: object = {}): object {
  const element = elements.map(({ id, ...rules }) => {
    const [, sliceName] = /:([^.:]+)$/.exec(id) ?? [];
    return { id, path: id.replace(/:[^.]+/g, ''), ...(sliceName === undefined ? {} : { sliceName }), ...rules };
  });
  return {
    resourceType: 'StructureDefinition',
    url: `urn:test:${name}`,
    version: '1.0.0',
    name,
    status: 'active',
    kind: /^(Extension|Address|HumanName)$/.test(type) ? 'complex-type' : 'resource',
    abstract: false,
    type,
    baseDefinition: `http://hl7.org/fhir/StructureDefinition/${type}`,
    derivation: 'constraint',
    differential: { element },
    ...more,
  };
}
