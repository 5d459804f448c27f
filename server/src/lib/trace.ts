/**
 * Why a request was answered as it was: sentences that decisions leave on their way, kept when it is refused. Carried
 * beside the call, because what decides is many calls away from what knows the request.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface TraceStep {
  readonly text: string;
  /** Epoch milliseconds. */
  readonly at?: number;
  /** Who asked may read it too; the others are for administrators, since they tell of what must not be known. */
  readonly forCaller: boolean;
}

const MAX_STEPS = 50;
const requests = new AsyncLocalStorage<TraceStep[]>();

/** Runs the work of a request, whose steps are added to the list. */
export function traced<T>(steps: TraceStep[], work: () => T): T {
  return requests.run(steps, work);
}

/** Adds a step to the request under way, if there is one. */
export function traceStep(text: string, audience: 'caller' | 'admin'): void {
  const steps = requests.getStore();
  if (steps && steps.length < MAX_STEPS) steps.push({ text, at: Date.now(), forCaller: audience === 'caller' });
}
