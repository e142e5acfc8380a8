/** The searches that are measured, each over many values, and what each may cost: CPU milliseconds where a bare route costs 0.022. */
import { birthOf, familyOf, permittingIn, rareCodesIn } from './search-world.ts';

export type Case = {
  readonly name: string;
  readonly goal?: number;
  /** One of many searches of its kind, over what the caller is permitted to see. */
  readonly path: (n: number) => string;
};

/** The bare route's CPU milliseconds that the goals were written for. */
export const GOALS_ARE_FOR = 0.022;

export function casesOf(resources: number): readonly Case[] {
  const patient = (n: number): number => (n * 37) % permittingIn(resources);
  const common = (n: number): string => `http://loinc.org%7Ccommon-${n % 20}`;
  const rare = (n: number): string => `rare-${(n * 13) % rareCodesIn(resources)}`;
  const monthOf = (n: number): string => `${2015 + (n % 10)}-${String(1 + (n % 12)).padStart(2, '0')}`;
  return [
    { name: 'identifier', path: (n) => `Observation?identifier=urn:bench%7Co${patient(n)}-${n % 80}` },
    { name: 'patient, newest 20', goal: 1, path: (n) => `Observation?patient=Patient/p${patient(n)}&_count=20` },
    { name: 'patient, code, date', goal: 0.5, path: (n) => `Observation?patient=Patient/p${patient(n)}&code=${common(n)}&date=ge2017` },
    {
      name: 'code and value range',
      path: (n) => `Observation?code=${common(n)}&value-quantity=gt${100 + (n % 50)}&value-quantity=lt${110 + (n % 50)}&_count=20`,
    },
    { name: 'a month, newest 20', path: (n) => `Observation?date=${monthOf(n)}&_count=20&_total=none` },
    { name: 'a code in a year', path: (n) => `Observation?code=${common(n)}&date=${2015 + (n % 10)}&_count=20&_total=none` },
    { name: 'name and birthdate', goal: 0.5, path: (n) => `Patient?name=${familyOf(patient(n))}&birthdate=${birthOf(patient(n))}` },
    { name: 'chained, 20', goal: 1.3, path: (n) => `Observation?patient.identifier=urn:bench:patient%7Cp${patient(n)}&_count=20` },
    { name: 'chained by name, with a code', path: (n) => `Observation?patient.name=${familyOf(patient(n))}&code=${common(n)}&_count=20` },
    { name: '_has', path: (n) => `Patient?_has:Observation:patient:code=${rare(n)}&_count=20` },
    { name: '_include', goal: 1.2, path: (n) => `Observation?patient=Patient/p${patient(n)}&_count=20&_include=Observation:encounter` },
    { name: 'a word that all have, newest 20', path: () => 'Observation?_content=ward&_count=20&_total=none' },
    { name: 'a phrase, of a patient', path: (n) => `Observation?patient=Patient/p${patient(n)}&_text=%22reported%20by%20the%20ward%22&_count=20` },
    { name: 'count of a large set', path: (n) => `Observation?code=${common(n)}&_summary=count` },
    { name: 'two large disjoint criteria', path: (n) => `Observation?code=http://loinc.org%7Ccommon-${n % 10}&category=vital-signs&_total=none` },
    { name: '_sort by value', path: (n) => `Observation?code=${common(n)}&_sort=value-quantity&_count=20&_total=none` },
    { name: '_sort by value, of a patient', path: (n) => `Observation?patient=Patient/p${patient(n)}&_sort=-value-quantity&_count=20` },
  ];
}
