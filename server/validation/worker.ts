/**
 * A thread of the validation pool: gets texts, answers issues. Texts travel because copying a string between threads costs
 * far less than copying a tree.
 */
import { parentPort } from 'node:worker_threads';
import type { ResourceValue } from '../fhir/resource.ts';
import type { Slice, Verdict } from './pool.ts';
import { createCheck } from './validate.ts';

const { check } = createCheck();

parentPort?.on('message', ({ texts }: Slice) => {
  const verdict: Verdict = texts.map((text) => check({ text, value: JSON.parse(text) as ResourceValue }));
  parentPort?.postMessage(verdict);
});
