/** A way through an http proxy to where TLS is spoken end to end (RFC 9110, section 9.3.6). */
import type { Socket } from 'node:net';
import { UpstreamFailure } from '../core/upstream.ts';

export interface Tunnel {
  /** Host and port to be led to. */
  readonly authority: string;
  readonly authorization: string | undefined;
  /** The proxy's host, for messages. */
  readonly proxy: string;
}

const MAX_HEAD_BYTES = 16 * 1024;

/** Asks the proxy at the other end for a tunnel; resolved, the socket speaks with the destination. */
export function openTunnel(socket: Socket, { authority, authorization, proxy }: Tunnel): Promise<void> {
  const credentials = authorization === undefined ? '' : `Proxy-Authorization: ${authorization}\r\n`;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let head = Buffer.alloc(0);

  const settle = (failure?: UpstreamFailure) => {
    socket.off('readable', read);
    socket.off('end', onEnd);
    socket.off('error', onError);
    if (failure) reject(failure);
    else resolve();
  };
  const fail = (message: string, cause?: Error) =>
    settle(new UpstreamFailure('unreachable', message, cause && { cause }));
  const onEnd = () => fail(`The proxy "${proxy}" closed the connection instead of opening a tunnel.`);
  const onError = (cause: Error) => fail(`The connection to the proxy "${proxy}" broke.`, cause);
  const read = () => {
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
      head = Buffer.concat([head, chunk]);
    }
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) {
      if (head.length > MAX_HEAD_BYTES) fail(`The proxy "${proxy}" answered with more than can be an answer.`);
      return;
    }
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(head.toString('latin1', 0, end))?.[1];
    if (status?.startsWith('2')) {
      const rest = head.subarray(end + 4);
      if (rest.length > 0) socket.unshift(rest);
      settle();
    } else if (status === '407') {
      fail(`The proxy "${proxy}" wants other credentials; correct them in its settings.`);
    } else {
      fail(`The proxy "${proxy}" does not lead to "${authority}" (${status ?? 'no HTTP answer'}).`);
    }
  };
  socket.on('readable', read);
  socket.once('end', onEnd);
  socket.once('error', onError);
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`);
  return promise;
}
