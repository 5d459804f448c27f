/** Large buffers that are used over and over: made anew for each piece they would keep the collector busy. */

/** Measured best for loopback and local disks; see docs/adr/0005-byte-paths.md. */
export const BUFFER_BYTES = 512 * 1024;
/** Not worth pooling. */
const SMALL_BYTES = 64 * 1024;
const KEPT = 32;

export class BufferPool {
  readonly #kept: Buffer[] = [];

  /** A buffer of BUFFER_BYTES, or a smaller one where no more than `wanted` bytes will be put in it. */
  take(wanted: number = BUFFER_BYTES): Buffer {
    if (wanted <= SMALL_BYTES) return Buffer.allocUnsafe(Math.max(wanted, 1));
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
  }

  /** Takes back a buffer that nobody reads or writes any more. */
  give(buffer: Buffer): void {
    if (buffer.length === BUFFER_BYTES && this.#kept.length < KEPT) this.#kept.push(buffer);
  }
}
