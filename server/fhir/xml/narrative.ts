/**
 * The narrative of a resource as a part of an XML document. https://hl7.org/fhir/R4/narrative.html#xhtml
 * Invariant: what is answered is one well-formed div in the XHTML namespace, so that no stored text breaks out of its place.
 */
import { SaxesParser } from 'saxes';
import { numberedEntities } from './entities.ts';

export const XHTML = 'http://www.w3.org/1999/xhtml';

/** The div as it stands, apart from line ends and named characters, which XML knows one way only; undefined when it is not one well-formed div. */
export function narrativeXml(div: string): string | undefined {
  const numbered = numberedEntities(div.trim()).replace(/\r\n?/g, '\n');
  const text = /^<div[^>]*\sxmlns\s*=/.test(numbered) ? numbered : numbered.replace(/^<div/, `<div xmlns="${XHTML}"`);
  return text.startsWith('<div') && isOneDiv(text) ? text : undefined;
}

function isOneDiv(text: string): boolean {
  const parser = new SaxesParser({ xmlns: true, position: false });
  let foreign = false;
  parser.on('doctype', () => (foreign = true));
  parser.on('opentag', ({ uri }) => (foreign ||= uri !== XHTML));
  try {
    parser.write(text).close();
    return !foreign;
  } catch {
    return false;
  }
}
