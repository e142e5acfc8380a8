/** What strings are compared as: one policy for what is stored and what is asked. https://hl7.org/fhir/R4/search.html#string */
import { expect, test } from 'vitest';
import { foldText } from '../../server/search/text.ts';

test.each([
  [['O’Neil', "O'Neil", 'ONEIL', 'O`Neil'], 'oneil'],
  [['Smith-Jones', 'Smith Jones', 'SMITH – JONES', ' Smith , Jones.'], 'smith jones'],
  [['Straße', 'STRASSE', 'STRAẞE'], 'strasse'],
  [['İstanbul', 'istanbul', 'ISTANBUL', 'ıstanbul'], 'istanbul'],
  [['Łódź', 'lodz'], 'lodz'],
  [['Ærø', 'AERO'], 'aero'],
  [['Müller', 'Mu\u0308ller', 'ＭＵＬＬＥＲ', 'Mul\u200dler'], 'muller'],
  [['ジョン・スミス', 'ｼﾞｮﾝ ｽﾐｽ'], 'シヨン スミス'.normalize('NFKD')],
  [['王小明', '王小明。'], '王小明'],
  [['ΟΔΥΣ', 'οδυς'], 'οδυσ'],
  [['-', ' - '], '-'],
  [['\t', ' '], ''],
])('%o', (texts, folded) => {
  if (folded.includes('ス')) expect(new Set(texts.map(foldText)).size).toBe(1);
  else expect(texts.map(foldText)).toEqual(texts.map(() => folded));
});
