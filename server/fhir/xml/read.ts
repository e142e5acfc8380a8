/**
 * The strict reader of FHIR XML: well-formed XML 1.0 in the FHIR namespace becomes the same JSON text that a caller could have sent.
 * https://hl7.org/fhir/R4/xml.html
 *
 * Invariant: an attacker writes every byte. No DTD and no entity is ever read (a DOCTYPE ends the reading), nesting is bounded, elements
 * are those of the definitions in their order. Number tokens, strings and narratives pass unchanged. Policy: comments are passed over;
 * processing instructions are refused.
 */
import { isUtf8 } from 'node:buffer';
import { SaxesParser, type SaxesTagNS } from 'saxes';
import { AssentError } from '../../errors.ts';
import type { ResourceDocument, ResourceValue } from '../resource.ts';
import { createBuilder, type Builder } from './build.ts';
import { createCapture, type Capture } from './capture.ts';

export type XmlLimits = { readonly maxDepth: number; readonly maxBytes: number };

/** Characters between two pauses: a few milliseconds. */
const PIECE = 16_384;

/** Reads one resource. Throws AssentError: too-large, invalid-xml, invalid-request (no FHIR resource), invalid-resource. */
export function parseXml(source: string | Uint8Array, limits: XmlLimits): ResourceDocument {
  const reading = readXml(source, limits);
  for (;;) {
    const step = reading.next();
    if (step.done) return step.value;
  }
}

/** The same with a pause offered every few milliseconds. */
export function* readXml(source: string | Uint8Array, limits: XmlLimits): Generator<undefined, ResourceDocument> {
  const text = textOf(source, limits);
  const reader = createReader(text, limits);
  for (let at = 0; at < text.length; at += PIECE) {
    reader.write(text.slice(at, at + PIECE));
    yield;
  }
  const json = reader.end();
  return { text: json, value: JSON.parse(json) as ResourceValue };
}

function textOf(source: string | Uint8Array, { maxBytes }: XmlLimits): string {
  const length = typeof source === 'string' ? Buffer.byteLength(source, 'utf8') : source.byteLength;
  if (length > maxBytes) throw new AssentError('too-large', `The body has more than ${maxBytes} bytes.`);
  if (typeof source === 'string' ? !source.isWellFormed() : !isUtf8(source)) throw new AssentError('invalid-xml', 'The body is not UTF-8.');
  return typeof source === 'string' ? source : Buffer.from(source).toString('utf8');
}

type Reader = { write(piece: string): void; end(): string };
type State = { readonly parser: Parser; readonly text: string; readonly builder: Builder; capture: Capture | undefined };
type Parser = SaxesParser<{ readonly xmlns: true; readonly position: true; readonly forceXMLVersion: true; readonly defaultXMLVersion: '1.0' }>;

function createReader(text: string, { maxDepth }: XmlLimits): Reader {
  const parser: Parser = new SaxesParser({ xmlns: true, position: true, forceXMLVersion: true, defaultXMLVersion: '1.0' });
  const at = (): string => `line ${parser.line}, column ${parser.column}`;
  const state: State = { parser, text, builder: createBuilder(at, maxDepth), capture: undefined };
  let depth = 0;
  const fail = (words: string): never => {
    throw new AssentError('invalid-xml', `${words} (${at()}).`);
  };
  // Names can be in the parser's words, so only those without a colon are passed on.
  parser.on('error', ({ message }) => fail(/^\d+:\d+: ([^:]+?)\.?$/.exec(message)?.[1] ?? 'not well-formed'));
  parser.on('doctype', () => fail('A document type declaration is not allowed'));
  parser.on('processinginstruction', () => fail('Processing instructions are not allowed'));
  parser.on('xmldecl', ({ encoding, version }) => {
    if (version !== '1.0' || !/^utf-8$/i.test(encoding ?? 'utf-8')) fail('The document must be XML 1.0 in UTF-8');
  });
  parser.on('opentag', (tag) => {
    if (++depth > maxDepth) fail(`Nested deeper than ${maxDepth} levels`);
    opened(state, tag);
  });
  parser.on('closetag', (tag) => {
    depth--;
    closed(state, tag);
  });
  parser.on('text', (content) => said(state, content));
  parser.on('cdata', (content) => said(state, content));
  return {
    write: (piece) => void parser.write(piece),
    end: () => {
      parser.close();
      return state.builder.result();
    },
  };
}

function opened(state: State, tag: SaxesTagNS): void {
  if (!state.capture && !state.builder.open(tag)) return;
  state.capture ??= createCapture(state.text, state.text.lastIndexOf('<', state.parser.position - 1));
  if (!state.capture.open(tag)) state.builder.refuse('A narrative holds XHTML only');
}

function closed(state: State, tag: SaxesTagNS): void {
  if (!state.capture) return state.builder.close();
  const div = state.capture.close(tag, state.parser.position);
  if (div === undefined) return;
  state.capture = undefined;
  state.builder.narrative(div);
}

function said({ builder, capture }: State, content: string): void {
  if (capture) capture.text(content);
  else if (/[^ \t\r\n]/.test(content)) builder.refuse('Text may stand only in a narrative');
}
