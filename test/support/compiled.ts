/** For the environment of a process that gets no other: where node keeps what it compiled of the server, if this run keeps it (`.ci/run`). */
const { NODE_COMPILE_CACHE: folder } = process.env;

export const compiled: Readonly<Record<string, string>> = folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
