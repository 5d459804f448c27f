/** Equal work is done once: who asks while it is under way gets its outcome. */
export type Singleflight<T> = (key: string, work: () => Promise<T>) => Promise<T>;

/** Runs `work` unless work of the same key is under way; a failure reaches all who wait and is not remembered. */
export function singleflight<T>(): Singleflight<T> {
  const running = new Map<string, Promise<T>>();
  return (key, work) => {
    const flight = running.get(key);
    if (flight !== undefined) return flight;
    const started = Promise.try(work).finally(() => running.delete(key));
    running.set(key, started);
    return started;
  };
}
