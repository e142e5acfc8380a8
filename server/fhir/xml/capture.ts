/**
 * A narrative on its way from XML to the string it is in JSON. https://hl7.org/fhir/R4/json.html#xhtml
 * Invariant: a div that declares its own namespace is taken character for character; one that rests on prefixes declared outside is
 * written anew, because alone it would mean nothing.
 */
import type { SaxesTagNS } from 'saxes';
import { XHTML } from './narrative.ts';
import { escapeXml } from './entities.ts';

export type Capture = {
  /** False: this is no XHTML. */
  open(tag: SaxesTagNS): boolean;
  text(content: string): void;
  /** The div, when this tag ends it. */
  close(tag: SaxesTagNS, end: number): string | undefined;
};

/** `start`: where in the document its first tag opens. */
export function createCapture(document: string, start: number): Capture {
  let depth = 0;
  let standsAlone = true;
  let anew = '';
  return {
    open(tag) {
      const { prefix, uri, local, attributes, isSelfClosing } = tag;
      if (depth++ === 0 && attributes['xmlns'] === undefined) standsAlone = false;
      if (prefix !== '') standsAlone = false;
      const written = Object.values(attributes).filter(({ name }) => !/^xmlns(:|$)/.test(name));
      const texts = written.map(({ name, value }) => ` ${name}="${escapeXml(value)}"`).join('');
      anew += `<${local}${depth === 1 ? ` xmlns="${XHTML}"` : ''}${texts}${isSelfClosing ? '/>' : '>'}`;
      return uri === XHTML;
    },
    text(content) {
      anew += escapeXml(content);
    },
    close({ local, isSelfClosing }, end) {
      if (!isSelfClosing) anew += `</${local}>`;
      if (--depth > 0) return undefined;
      return standsAlone ? document.slice(start, end).replace(/\r\n?/g, '\n') : anew;
    },
  };
}
