/** Who signs this log: this process with the key in its folder, or the process that the operator names. ledger.md §2 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../../ledger/hash.ts';
import { AssentError } from '../errors.ts';
import { signerFolder } from './folders.ts';
import { openRemoteSigner, type SignerConfig, signerClient } from './remote-signer.ts';
import { readSignerState, readVerifierKey, type SignerState } from './signer-files.ts';
import { openSigner, type Signer } from './signer.ts';

/** What the signer remembers, beside a running server. */
export type Signed = {
  readonly verifierKey: string | undefined;
  readonly state: Omit<SignerState, 'frontier'> | undefined;
  /** Digest of the verifier key with which it signs as well; undefined: none. */
  readonly second: string | undefined;
};

/** `refused`: told once, when it begins to refuse. Throws AssentError('unavailable') when nobody can sign. */
export async function openLogSigner(config: SignerConfig, refused: (reason: string) => void): Promise<Signer> {
  const directory = signerFolder(config.DATA_DIR);
  const mlDsa = config.LOG_MLDSA === 'on';
  if (config.SIGNER === '') return openSigner({ directory, refused, mlDsa });
  if (existsSync(join(directory, 'key')))
    throw new AssentError(
      'unavailable',
      'A signing key lies in the data folder, but ASSENT_SIGNER names a process that signs: move the folder `signer` there.',
    );
  const signer = await openRemoteSigner({ client: await signerClient(config), refused });
  if (mlDsa && signer.cosignerKey === undefined)
    throw new AssentError('unavailable', 'ASSENT_LOG_MLDSA is on, but the process that signs has no second key: start it with --ml-dsa.');
  return signer;
}

/** Throws AssentError('unavailable') when it cannot be read or asked. */
export async function readSigned(config: SignerConfig): Promise<Signed> {
  if (config.SIGNER === '') return readSignedIn(signerFolder(config.DATA_DIR), config.LOG_MLDSA === 'on');
  const { verifierKey, cosignerKey, head } = await (await signerClient(config)).head();
  return { verifierKey, state: head, second: cosignerKey === undefined ? undefined : digestOf(cosignerKey) };
}

/** `mlDsa`: the second key is asked for. */
export async function readSignedIn(folder: string, mlDsa = false): Promise<Signed> {
  const state = await readSignerState(folder);
  return { state, verifierKey: await readVerifierKey(folder), second: mlDsa ? state?.cosigner : undefined };
}
