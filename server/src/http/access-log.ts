/** One line per request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError } from '../core/errors.ts';
import type { Exchange } from './exchange.ts';
import type { Metrics } from './metrics.ts';

export interface AccessLog {
  write(seen: {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
    readonly requestId: string;
    readonly exchange: Exchange | undefined;
    readonly durationMs: number;
  }): void;
}

export interface Line {
  info(fields: Record<string, unknown>, message: string): void;
}

/** Addresses are logged without their query, which may hold credentials. */
export function accessLog(log: Line | undefined, metrics: Metrics): AccessLog {
  return {
    write({ request, response, requestId, exchange, durationMs }) {
      const { note } = exchange ?? {};
      const cut = !response.writableFinished;
      const method = request.method ?? '';
      metrics.observeRequest({
        area: note?.area ?? 'other',
        method,
        status: response.statusCode,
        durationMs,
        sentBytes: note?.sizeBytes ?? 0,
      });
      if (!log) return;
      const path = (request.url ?? '').split('?', 1)[0]?.slice(0, 1024) ?? '';
      log.info(
        {
          requestId,
          method,
          path,
          status: response.statusCode,
          durationMs: Math.round(durationMs * 100) / 100,
          ...(note?.sizeBytes !== undefined && { sizeBytes: note.sizeBytes }),
          ...(note?.principal !== undefined && { principal: note.principal }),
          ...(note?.repo !== undefined && { repo: note.repo }),
          peer: exchange?.peer ?? request.socket.remoteAddress,
          agent: request.headers['user-agent']?.slice(0, 200),
          ...(cut && { cut: true }),
          ...(note?.error instanceof AppError && { reason: note.error.message.slice(0, 300) }),
        },
        'request',
      );
    },
  };
}
