/** ms of CPU that `work` takes on this thread: unlike the time by the clock, it is the same on a machine that is busy with something else. */
export function cpuMs(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}
