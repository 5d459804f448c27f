// A server that does nothing but send what another answered, out of memory: what no registry can be faster than.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

type Kept = { readonly status: number; readonly headers: Record<string, string | number>; readonly bytes: Buffer };

const [, , port = '0', origin = ''] = process.argv;
const own = `http://127.0.0.1:${port}`;
const kept = new Map<string, Promise<Kept>>();

createServer((request, response) => {
  if (request.url === '/-/ready') response.end();
  else void answer(request, response);
}).listen(Number(port), '127.0.0.1');

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { accept = '*/*', authorization = '', 'accept-encoding': encoding = '' } = request.headers;
  const name = `${request.url} ${accept}`;
  let known = kept.get(name);
  if (known === undefined) {
    known = ask(request.url ?? '', { accept, authorization, 'accept-encoding': String(encoding) });
    kept.set(name, known);
  }
  try {
    const { status, headers, bytes } = await known;
    response.writeHead(status, headers).end(bytes);
  } catch (error) {
    kept.delete(name);
    response.writeHead(502).end(String(error));
  }
}

/** Documents name addresses, which become those of this server. */
async function ask(path: string, headers: Record<string, string>): Promise<Kept> {
  const answered = await fetch(origin + path, { headers });
  let bytes: Buffer<ArrayBufferLike> = Buffer.from(await answered.arrayBuffer());
  const type = answered.headers.get('content-type') ?? 'application/octet-stream';
  const sent: Record<string, string | number> = { 'Content-Type': type };
  if (type.includes('json')) {
    bytes = Buffer.from(bytes.toString().replaceAll(origin, own));
    if (/gzip/.test(headers['accept-encoding'] ?? '')) {
      bytes = gzipSync(bytes);
      sent['Content-Encoding'] = 'gzip';
    }
  }
  return { status: answered.status, headers: { ...sent, 'Content-Length': bytes.length }, bytes };
}
