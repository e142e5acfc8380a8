/**
 * Before all suites of a thread: what scrypt made of the same secret, salt and cost is remembered, so that a client is registered and gets its first
 * token for one derivation instead of two, and every further token for none. It stays a function of the same values: nothing of a test depends on it
 * but its time.
 */
import crypto, { type BinaryLike, type ScryptOptions } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

type Answer = (error: Error | null, key: Buffer) => void;
type Derive = (secret: BinaryLike, salt: BinaryLike, length: number, cost: ScryptOptions, answer: Answer) => void;

const real = crypto.scrypt as Derive & { readonly remembers?: true };
if (!real.remembers) {
  const known = new Map<string, Buffer>();
  const derive: Derive = (secret, salt, length, cost, answer) => {
    const name = JSON.stringify([secret, salt, length, cost]);
    const key = known.get(name);
    if (key) return void setImmediate(answer, null, Buffer.from(key));
    real(secret, salt, length, cost, (error, made) => {
      if (!error) known.set(name, Buffer.from(made));
      answer(error, made);
    });
  };
  crypto.scrypt = Object.assign(derive, { remembers: true }) as unknown as typeof crypto.scrypt;
  syncBuiltinESMExports();
}
