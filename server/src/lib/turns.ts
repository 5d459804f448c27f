/** One after the other among those of the same name; those of other names do not wait. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `work` when all that came before it under this name has ended, however it ended. */
  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    const end = Promise.withResolvers<void>();
    this.#last.set(name, end.promise);
    await before;
    try {
      return await work();
    } finally {
      end.resolve();
      if (this.#last.get(name) === end.promise) this.#last.delete(name);
    }
  }
}
