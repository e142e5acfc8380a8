/**
 * A thread of the validation pool: gets texts, answers issues. Texts travel because copying a string between threads costs
 * far less than copying a tree.
 */
import { parentPort } from 'node:worker_threads';
import type { ResourceValue } from '../fhir/resource.ts';
import type { Verdict } from './thread.ts';
import { createCheck } from './validate.ts';

const { check } = createCheck();

parentPort?.on('message', (texts: readonly string[]) => {
  const verdict: Verdict = texts.map((text) => check({ text, value: JSON.parse(text) as ResourceValue }));
  parentPort?.postMessage(verdict);
});
