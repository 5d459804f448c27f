import type { Target } from './target.ts';

/** Makes a repository of a running Entrepot. */
export async function createRepository(target: Target, key: string, settings: object): Promise<void> {
  const answer = await administer(target, 'PUT', `artifactory/api/repositories/${key}`, settings);
  if (!answer.ok) throw new Error(`The repository "${key}" was not made: ${await answer.text()}`);
}

/** Has a running Entrepot issue a token for its administrator, as clients keep one in their settings. */
export async function createToken(target: Target): Promise<string> {
  const answer = await administer(target, 'POST', 'access/api/v1/tokens', {});
  if (!answer.ok) throw new Error(`No token was issued: ${await answer.text()}`);
  const { access_token: token } = (await answer.json()) as { access_token?: string };
  if (token === undefined) throw new Error('The answer to the request for a token has none.');
  return token;
}

function administer({ endpoint }: Target, method: string, path: string, body: object): Promise<Response> {
  const { user = '', password = '' } = endpoint.credentials ?? {};
  return fetch(`http://${endpoint.host}:${endpoint.port}/${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
    },
    body: JSON.stringify(body),
  });
}
