/**
 * The order of files where nothing is known of earlier runs, as on the build machine: what runs for longest comes first, or one thread works at its end
 * while the other has nothing left. Left to itself vitest takes the largest file first, and some of the smallest are the longest.
 */
import { existsSync } from 'node:fs';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Twenty seconds and more of a thread, longest first. */
const LONGEST = [
  'contract/mongo',
  'http/capability-walk',
  'twins/twins',
  'twins/leaks',
  'http/several-servers',
  'http/purge-killed',
  'contract/embedded',
  'races/races',
  'commands/live-copy',
  'http/jobs',
  'http/process',
  'published/totals',
  'published/validation',
  'validation/second-opinion',
  'matrix/reference-places',
  'http/requests-several',
  'http/stored-parameters-processes',
  'store/mongo/failover',
  'store/mongo/first-start',
  'faults/short',
].map((name) => `test/${name}.test.ts`);

const gone = LONGEST.filter((file) => !existsSync(file));
if (gone.length > 0) throw new Error(`The order of tests names files that are not there: ${gone.join(', ')}.`);

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    // Each project in one piece, as threads are not shared between projects; the last one named first, which has the fewest files.
    const projects = [...new Set(sorted.map(({ project }) => project.name))].toReversed();
    const placeOf = ({ project, moduleId }: TestSpecification): number => {
      const place = LONGEST.findIndex((file) => moduleId.endsWith(file));
      return projects.indexOf(project.name) * (LONGEST.length + 1) + (place < 0 ? LONGEST.length : place);
    };
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}
