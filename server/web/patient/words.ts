/**
 * What the patient's pages say, in each language: a view has no words of its own.
 * Invariant: what one language says the other says too; the type makes a missing sentence an error.
 */
import type { Language } from '../language.ts';
import { chinese } from './words/chinese.ts';
import { english, type PatientWords } from './words/english.ts';

export type { PatientWords };

export const patientWords: Readonly<Record<Language, PatientWords>> = { en: english, zh: chinese };
