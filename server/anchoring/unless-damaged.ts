/** Reading what somebody may have edited by hand. */
import { AssentError } from '../errors.ts';

/** Undefined: what is stored is not what was written. Rethrows what says that the store could not be asked. */
export async function unlessDamaged<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (fault) {
    if (fault instanceof AssentError && fault.code !== 'internal') throw fault;
    return undefined;
  }
}
