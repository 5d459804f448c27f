/** Lines for a client's settings file, with the credentials that the caller has just shown. */
import { AppError } from '../../core/errors.ts';
import type { OwnAccount, ProtocolContext, ProtocolRequest, Reply, ServiceContext } from '../../core/protocol.ts';

interface Shown {
  readonly name: string;
  readonly password: string;
}

/** The lines for whichever registry the file names. */
export async function getNpmrc(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const shown = credentialsOf(request);
  const email = await emailOf(context.account);
  return lines([
    ...(shown ? [`_auth = ${base64(`${shown.name}:${shown.password}`)}`] : [`_authToken = ${tokenOf(request)}`]),
    'always-auth = true',
    `email = ${email}`,
  ]);
}

/** The lines for packages of one scope. */
export async function getScopedNpmrc(request: ProtocolRequest, { links }: ProtocolContext): Promise<Reply> {
  const scope = (request.params['scope'] ?? '').replace(/^@/, '');
  if (!/^[a-z0-9][a-z0-9._-]{0,100}$/i.test(scope)) throw new AppError('invalid', 'This is not the name of a scope.');
  const shown = credentialsOf(request);
  const address = `${links.origin}${links.mount}/`;
  const key = address.replace(/^https?:/, '');
  return lines([
    `@${scope}:registry=${address}`,
    ...(shown
      ? [`${key}:_password=${base64(shown.password)}`, `${key}:username=${shown.name}`]
      : [`${key}:_authToken=${tokenOf(request)}`]),
    `${key}:always-auth=true`,
  ]);
}

function lines(text: readonly string[]): Reply {
  return { status: 200, text: `${text.join('\n')}\n`, headers: { 'Cache-Control': 'no-store' } };
}

async function emailOf(account: OwnAccount | undefined): Promise<string> {
  if (!account) throw needed();
  return (await account.facts()).email || `${account.name}@`;
}

function credentialsOf({ headers }: ProtocolRequest): Shown | undefined {
  const [, encoded] = /^basic +([A-Za-z0-9+/=]+)$/i.exec(headers.authorization ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

function tokenOf({ headers }: ProtocolRequest): string {
  const [, token] = /^bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
  if (token === undefined) throw needed();
  return token;
}

function needed(): AppError {
  return new AppError(
    'unauthenticated',
    'Send a user name and a password or token: they are what the answer is made of.',
  );
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
