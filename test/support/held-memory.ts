/** Bytes that this thread holds, on its heap and beside it: the memory of the process is that of all suites that run at the same time. */
export function heldBytes(): number {
  const { heapTotal, external } = process.memoryUsage();
  return heapTotal + external;
}
