/** How a command that serves runs until it is told to stop. Without the server: a signer, a witness and an aggregate load nothing of it. */

export type Stoppable = { stop(): Promise<void> };

/** SIGTERM and SIGINT drain what is under way and end with 0. */
export function untilStopped(running: Stoppable): Promise<number> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      running.stop().then(() => resolve(0), reject);
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
  });
}
