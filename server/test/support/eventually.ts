/** Waiting for a condition instead of for a time. */
import { setTimeout as delay } from 'node:timers/promises';

/** Repeats the assertions until they hold; fails with the last failure when they do not within the limit. */
export async function eventually(check: () => void | Promise<void>, limitMs = 60_000): Promise<void> {
  const until = performance.now() + limitMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > until) throw error;
      await delay(10);
    }
  }
}
