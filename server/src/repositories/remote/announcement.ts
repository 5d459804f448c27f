/** What those who wait for an upstream's answer are told, here and, as JSON, in other processes. */
import { AppError, type ErrorCode } from '../../core/errors.ts';
import type { Description } from './answers.ts';

export type Announcement =
  /** What is held now is what the upstream has. */
  | { readonly kind: 'held' }
  | { readonly kind: 'arriving'; readonly description: Description }
  /** `refused` where the upstream would not say whether there is one. */
  | Absence;

export interface Absence {
  readonly kind: 'absent';
  readonly reason: string;
  readonly refused: boolean;
}

interface Outcome {
  readonly absent?: string;
  readonly refused?: boolean;
  readonly code?: ErrorCode;
  readonly message?: string;
  readonly retryAfterSeconds?: unknown;
}

/** The outcome for other processes. */
export function renderOutcome(outcome: Absence | AppError): string {
  if (!(outcome instanceof AppError)) {
    const { reason, refused } = outcome;
    return JSON.stringify({ absent: reason, refused } satisfies Outcome);
  }
  const { code, message, detail } = outcome;
  return JSON.stringify({ code, message, retryAfterSeconds: detail['retryAfterSeconds'] } satisfies Outcome);
}

/** The outcome that another process had; throws where that was a failure. */
export function parseOutcome(text: string): Announcement {
  const { absent, refused, code, message, retryAfterSeconds } = JSON.parse(text) as Outcome;
  if (absent !== undefined) return { kind: 'absent', reason: absent, refused: refused === true };
  throw new AppError(
    code ?? 'unavailable',
    message ?? '',
    typeof retryAfterSeconds === 'number' ? { retryAfterSeconds } : {},
  );
}
