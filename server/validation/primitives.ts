/**
 * The lexical rules of R4's primitive types, real calendar dates included. https://hl7.org/fhir/R4/datatypes.html#primitive
 *
 * Invariant: every pattern is linear in the length of the text; what a check returns are words of ours, never the value.
 */

/** What is wrong with a value of this type, in words; undefined when nothing is. */
export type PrimitiveCheck = (value: unknown) => string | undefined;

const MOST_CHARACTERS = 1_048_576;
const LARGEST = 2_147_483_647;
const ZONE = '(Z|[+-](0\\d|1[0-3]):[0-5]\\d|[+-]14:00)';
const TIME = '([01]\\d|2[0-3]):[0-5]\\d:([0-5]\\d|60)(\\.\\d+)?';
const DAY = '(?!0000)\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])';

const text = (pattern: RegExp, words: string, holds: (value: string) => boolean = () => true): PrimitiveCheck => {
  return (value) => {
    if (typeof value !== 'string') return 'Must be a string.';
    if (value === '') return 'Must not be an empty string; leave the element out.';
    return pattern.test(value) && holds(value) ? undefined : words;
  };
};

const whole = (least: number, words: string): PrimitiveCheck => {
  return (value) => {
    if (typeof value !== 'number') return 'Must be a number.';
    return Number.isInteger(value) && value >= least && value <= LARGEST ? undefined : words;
  };
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: the characters R4 forbids
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/;

const prose: PrimitiveCheck = (value) => {
  if (typeof value !== 'string') return 'Must be a string.';
  if (value === '') return 'Must not be an empty string; leave the element out.';
  if (!/\S/.test(value)) return 'Must not be empty or only white space.';
  if (value.length > MOST_CHARACTERS) return 'Must not be longer than 1,048,576 characters.';
  return CONTROL.test(value) ? 'Must not contain control characters other than tab, line feed and carriage return.' : undefined;
};

const OID = /^urn:oid:[0-2](\.(0|[1-9]\d*))+$/;
const UUID = /^urn:uuid:[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

const uri = (type: string): PrimitiveCheck =>
  text(
    /^\S+$/,
    `Not a valid ${type}: it must not contain white space, and after urn:uuid: and urn:oid: a UUID and an OID must follow.`,
    (value) => !value.startsWith('urn:') || isUrn(value),
  );

function isUrn(value: string): boolean {
  if (value.startsWith('urn:oid:')) return OID.test(value);
  return !value.startsWith('urn:uuid:') || UUID.test(value.toLowerCase());
}

const boolean: PrimitiveCheck = (value) => (typeof value === 'boolean' ? undefined : 'Must be a boolean: true or false.');

/** Digits are kept as written, so precision has no limit of ours; only what no double can hold is refused, as it cannot be searched. */
const decimal: PrimitiveCheck = (value) => {
  if (typeof value !== 'number') return 'Must be a number.';
  return Number.isFinite(value) ? undefined : 'Not a valid decimal: the number is too large.';
};

/** https://hl7.org/fhir/R4/datatypes.html#base64Binary: white space is allowed anywhere. */
const base64: PrimitiveCheck = (value) => {
  if (typeof value !== 'string') return 'Must be a string.';
  if (value === '') return 'Must not be an empty string; leave the element out.';
  const packed = /\s/.test(value) ? value.replace(/\s+/g, '') : value;
  return packed !== '' && packed.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(packed)
    ? undefined
    : 'Not valid base64: letters, digits, + and /, in groups of four, padded with = at the end.';
};

/** The id of an element is a string without white space. https://hl7.org/fhir/R4/element.html */
export const elementIdCheck: PrimitiveCheck = text(/^\S+$/, 'Not a valid id of an element: it must not contain white space.');

/** Keyed by the type's name; xhtml is judged as a narrative (narrative.ts), here only its kind. */
export const primitiveChecks: ReadonlyMap<string, PrimitiveCheck> = new Map<string, PrimitiveCheck>([
  ['boolean', boolean],
  ['integer', whole(-LARGEST - 1, 'Not a valid integer: a whole number from -2,147,483,648 to 2,147,483,647.')],
  ['positiveInt', whole(1, 'Not a valid positiveInt: a whole number from 1 to 2,147,483,647.')],
  ['unsignedInt', whole(0, 'Not a valid unsignedInt: a whole number from 0 to 2,147,483,647.')],
  ['decimal', decimal],
  ['string', prose],
  ['markdown', prose],
  ['xhtml', prose],
  ['base64Binary', base64],
  ['uri', uri('uri')],
  ['url', uri('url')],
  ['canonical', text(/^\S+$/, 'Not a valid canonical: it must not contain white space.')],
  ['code', text(/^\S+(\s\S+)*$/, 'Not a valid code: no white space at its ends, and single spaces inside.')],
  ['id', text(/^[A-Za-z0-9\-.]{1,64}$/, 'Not a valid id: 1 to 64 letters, digits, hyphens and dots.')],
  ['oid', text(OID, 'Not a valid oid: urn:oid: and numbers joined by dots.')],
  ['uuid', text(UUID, 'Not a valid uuid: urn:uuid: and 32 lower case hexadecimal digits in five groups.')],
  ['time', text(new RegExp(`^${TIME}$`), 'Not a valid time: hh:mm:ss, without a time zone.')],
  ['date', text(new RegExp(`^((?!0000)\\d{4}(-(0[1-9]|1[0-2]))?|${DAY})$`), 'Not a valid date: YYYY, YYYY-MM or YYYY-MM-DD.', isOnCalendar)],
  [
    'dateTime',
    text(
      new RegExp(`^((?!0000)\\d{4}(-(0[1-9]|1[0-2]))?|${DAY}(T${TIME}${ZONE})?)$`),
      'Not a valid dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone (Z or ±hh:mm).',
      isOnCalendar,
    ),
  ],
  ['instant', text(new RegExp(`^${DAY}T${TIME}${ZONE}$`), 'Not a valid instant: YYYY-MM-DDThh:mm:ss with a time zone (Z or ±hh:mm).', isOnCalendar)],
]);

function isOnCalendar(value: string): boolean {
  if (value.length < 10) return true;
  const day = Number(value.slice(8, 10));
  return day <= 28 || day <= new Date(Date.UTC(Number(value.slice(0, 4)), Number(value.slice(5, 7)), 0)).getUTCDate();
}
