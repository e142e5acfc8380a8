/**
 * A thread of the validation pool: gets texts, answers issues. Texts travel because copying a string between threads costs
 * far less than copying a tree.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { ResourceValue } from '../fhir/resource.ts';
import type { Packages } from './packages/claims.ts';
import type { Task, Verdict } from './thread.ts';
import { createCheck } from './validate.ts';

const { check } = createCheck(workerData as Packages);

parentPort?.on('message', ({ texts, profiles }: Task) => {
  const verdict: Verdict = texts.map((text) => check({ text, value: JSON.parse(text) as ResourceValue }, profiles));
  parentPort?.postMessage(verdict);
});
