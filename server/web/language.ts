/**
 * The language of a page: what its reader chose, else the first that the browser prefers and we speak. https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4
 * Invariant: whatever is sent, the answer is a language every dictionary has.
 */
export const languages = { en: 'English', zh: '中文' } as const;
export type Language = keyof typeof languages;

const COOKIE = 'assent-language';
const YEAR_SECONDS = 365 * 24 * 3600;

type Headers = { readonly cookie?: string | undefined; readonly 'accept-language'?: string | undefined };

export function languageOf({ cookie = '', 'accept-language': accepted = '' }: Headers): Language {
  const pairs = cookie.split(';').map((pair) => pair.trim().split('='));
  const choice = pairs.find(([name]) => name === COOKIE)?.[1];
  return spoken(choice) ?? preferred(accepted) ?? 'en';
}

/** The Set-Cookie header by which a choice is kept; undefined for what is no language here. It says nothing about who chose. */
export function languageCookie(choice: string, secure: boolean): string | undefined {
  const language = spoken(choice);
  return language && `${COOKIE}=${language}; Path=/; Max-Age=${YEAR_SECONDS}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
}

function preferred(header: string): Language | undefined {
  const ranges = header.split(',').map((range) => {
    const [tag = '', ...parameters] = range.split(';').map((part) => part.trim());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1';
    return { language: spoken(tag.split('-')[0]?.toLowerCase()), weight: Number(weight) };
  });
  const wanted = ranges.filter(({ language, weight }) => language !== undefined && weight > 0);
  return wanted.toSorted((a, b) => b.weight - a.weight)[0]?.language;
}

function spoken(tag: string | undefined): Language | undefined {
  return tag !== undefined && Object.hasOwn(languages, tag) ? (tag as Language) : undefined;
}
