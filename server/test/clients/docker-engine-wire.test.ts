import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  buildImage,
  buildLayer,
  buildMultiArchImage,
  describe as describeBlob,
  digestOf,
  mediaTypes,
  renderJson,
} from './oci-layout.ts';
import { listTags, pushImage } from './registry-api.ts';
import { imagePath, requireTarget } from './target.ts';
import { closingUrl, exchange, parseChallenge, requestToken, WireClient, type WireResponse } from './wire-client.ts';

/*
 * The conversations of Docker's two image stores, request by request: the classic one (up to Docker 28) and
 * containerd's (from Docker 29). They run where no engine can, and hold each answer to what an engine relies on.
 */
const classicAgent =
  'docker/24.0.7 go/go1.20.10 git-commit/311b9ff kernel/6.1.0 os/linux arch/amd64 UpstreamClient(Docker-Client/24.0.7 \\(linux\\))';
const containerdAgent =
  'docker/29.0.0 go/go1.25.3 git-commit/abc kernel/6.1.0 os/linux arch/amd64 containerd-client/2.1.4';

const classicAccept = [
  mediaTypes.dockerManifest,
  mediaTypes.dockerList,
  mediaTypes.manifest,
  mediaTypes.index,
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/json',
].join(', ');
const containerdAccept = [
  mediaTypes.dockerManifest,
  mediaTypes.dockerList,
  mediaTypes.manifest,
  mediaTypes.index,
  '*/*',
].join(', ');

const layer = buildLayer({ 'hello.txt': 'pushed by an engine\n'.repeat(5_000) });
const image = buildImage([layer], { os: 'linux', architecture: 'amd64' });
const config = [...image.blobs.values()][1]!;
const schema2 = renderJson({
  schemaVersion: 2,
  mediaType: mediaTypes.dockerManifest,
  config: describeBlob(mediaTypes.dockerConfig, config),
  layers: [describeBlob(mediaTypes.dockerLayer, layer.blob)],
});

describe('docker engine, classic store', () => {
  const client = new WireClient({ userAgent: classicAgent, tokens: 'get', clientId: 'docker' });
  const path = imagePath('wire/classic');

  test('finds a Bearer challenge first on the ping, with a realm on the host it asked', async () => {
    const ping = await exchange('GET', '/v2/', { headers: { 'user-agent': classicAgent } });
    assert.equal(ping.status, 401);
    assert.equal(ping.headers['docker-distribution-api-version'], 'registry/2.0');
    const [first, ...others] = ping.challenges.map(parseChallenge);
    assert.equal(first?.scheme, 'bearer');
    assert.equal(new URL(first?.parameters['realm'] ?? '').host, requireTarget().registry);
    assert.ok(first?.parameters['service']);
    assert.equal(first?.parameters['scope'], undefined);
    assert.deepEqual(
      others.map(({ scheme }) => scheme).filter((scheme) => scheme !== 'basic'),
      [],
    );
    assert.equal(errorCode(ping), 'UNAUTHORIZED');
  });

  test('logs in: a token without scope, then the ping with it', async () => {
    const { username, password } = requireTarget();
    const challenge = await requireBearer('/v2/');
    const reply = await requestToken({ challenge, tokens: 'get', clientId: 'docker', username, password });
    assert.equal(reply.status, 200);
    const fields = JSON.parse(reply.body.toString()) as { token: string; access_token: string; expires_in: number };
    assert.equal(fields.token, fields.access_token);
    assert.ok(fields.expires_in >= 60, 'clients raise shorter times to a minute and then use expired tokens');
    const ping = await exchange('GET', '/v2/', { headers: { authorization: `Bearer ${fields.token}` } });
    assert.equal(ping.status, 200);
    assert.equal(ping.headers['docker-distribution-api-version'], 'registry/2.0');
  });

  test('is told 401 for a wrong password, and for a token nobody issued', async () => {
    const { username } = requireTarget();
    const challenge = await requireBearer('/v2/');
    const wrong = { challenge, tokens: 'get', clientId: 'docker', username, password: 'not the password' } as const;
    assert.equal((await requestToken(wrong)).status, 401);
    const forged = await exchange('GET', '/v2/', { headers: { authorization: 'Bearer forged.token.value' } });
    assert.equal(forged.status, 401);
    assert.equal(parseChallenge(forged.challenges[0]!).parameters['error'], 'invalid_token');
  });

  test('pushes a layer as a chunked stream of unknown length', async () => {
    await pushClassicBlob(client, path, layer.blob);
    await pushClassicBlob(client, path, config);
  });

  test('pushes a schema 2 manifest and reads its digest from the answer', async () => {
    const headers = { 'content-type': mediaTypes.dockerManifest };
    const put = await client.send('PUT', `/v2/${path}/manifests/v1`, { headers, body: schema2 });
    assert.equal(put.status, 201, put.body.toString());
    assert.equal(put.headers['docker-content-digest'], digestOf(schema2));
    assert.match(put.headers.location ?? '', /\/manifests\//);
  });

  test('mounts a layer with one token for both images, and gets a session where there is nothing to mount', async () => {
    const to = imagePath('wire/classic-mounted');
    const scopes = [`repository:${to}:push,pull`, `repository:${path}:pull`];
    const mounting = new WireClient({ userAgent: classicAgent, tokens: 'get', clientId: 'docker', scopes });
    const query = (digest: string) => new URLSearchParams({ from: path, mount: digest }).toString();
    const mounted = await mounting.send('POST', `/v2/${to}/blobs/uploads/?${query(digestOf(layer.blob))}`);
    assert.equal(mounted.status, 201, mounted.body.toString());
    assert.equal(mounted.headers['docker-content-digest'], digestOf(layer.blob));

    const absent = Buffer.from('no registry has this blob');
    const session = await mounting.send('POST', `/v2/${to}/blobs/uploads/?${query(digestOf(absent))}`);
    assert.equal(session.status, 202);
    const put = await mounting.send('PUT', closingUrl(session.headers.location, digestOf(absent)), { body: absent });
    assert.equal(put.status, 201, put.body.toString());
  });

  test('is told the scopes of both images when it tries to mount without a token', async () => {
    const to = imagePath('wire/classic-mounted');
    const query = new URLSearchParams({ from: path, mount: digestOf(layer.blob) });
    const refused = await exchange('POST', `/v2/${to}/blobs/uploads/?${query}`);
    assert.equal(refused.status, 401);
    const scope = parseChallenge(refused.challenges[0] ?? '').parameters['scope']?.split(' ');
    assert.deepEqual(scope, [`repository:${to}:pull,push`, `repository:${path}:pull`]);
  });

  test('pulls by tag, then by digest, then the blobs, and resumes a layer', async () => {
    const accept = { accept: classicAccept, 'accept-encoding': 'gzip' };
    const head = await client.send('HEAD', `/v2/${path}/manifests/v1`, { headers: accept });
    assert.equal(head.status, 200);
    assert.equal(head.headers['docker-content-digest'], digestOf(schema2));
    assert.equal(head.headers['content-length'], String(schema2.length));
    assert.equal(head.headers['content-type'], mediaTypes.dockerManifest);

    const get = await client.send('GET', `/v2/${path}/manifests/${digestOf(schema2)}`, { headers: accept });
    assert.equal(get.headers['content-encoding'], undefined);
    assert.equal(digestOf(get.body), digestOf(schema2));
    const pulled = await client.send('GET', `/v2/${path}/blobs/${digestOf(config)}`);
    assert.equal(digestOf(pulled.body), digestOf(config));

    const url = `/v2/${path}/blobs/${digestOf(layer.blob)}`;
    const rest = await client.send('GET', url, { headers: { range: 'bytes=100-' } });
    assert.equal(rest.status, 206);
    const end = layer.blob.length - 1;
    assert.equal(rest.headers['content-range'], `bytes 100-${end}/${layer.blob.length}`);
    assert.equal(digestOf(rest.body), digestOf(layer.blob.subarray(100)));
  });

  test('abandons an upload after asking how far it came', async () => {
    const started = await client.send('POST', `/v2/${path}/blobs/uploads/`);
    const patched = await client.send('PATCH', started.headers.location ?? '', { chunks: [Buffer.alloc(1000)] });
    const status = await client.send('GET', patched.headers.location ?? '');
    assert.equal(status.status, 204);
    assert.equal(status.headers.range, '0-999');
    const cancelled = await client.send('DELETE', patched.headers.location ?? '');
    assert.equal(cancelled.status, 204);
    assert.equal((await client.send('GET', patched.headers.location ?? '')).status, 404);
  });
});

describe('docker engine, containerd store', () => {
  const client = new WireClient({ userAgent: containerdAgent, tokens: 'post', clientId: 'containerd-client' });
  const path = imagePath('wire/containerd');
  const multi = buildMultiArchImage('engine');

  test('gets a token by an OAuth 2 form with its password', async () => {
    const { username, password } = requireTarget();
    const challenge = await requireBearer(`/v2/${path}/manifests/v1`);
    assert.equal(challenge.parameters['scope'], `repository:${path}:pull`);
    const wanted = { challenge, tokens: 'post', clientId: 'containerd-client', username } as const;
    const reply = await requestToken({ ...wanted, password });
    assert.equal(reply.status, 200, reply.body.toString());
    const fields = JSON.parse(reply.body.toString()) as { access_token: string; expires_in: number };
    assert.ok(fields.access_token);
    assert.ok(fields.expires_in >= 60);
    const refused = await requestToken({ ...wanted, password: 'not the password' });
    assert.ok([400, 401].includes(refused.status), String(refused.status));
  });

  test('finds nothing under a tag, first as a manifest and then as a blob', async () => {
    const headers = { accept: containerdAccept };
    const head = await client.send('HEAD', `/v2/${path}/manifests/v1`, { headers });
    assert.equal(head.status, 404);
    const byDigest = await client.send('HEAD', `/v2/${path}/blobs/${multi.root.digest}`, { headers });
    assert.equal(byDigest.status, 404);
  });

  test('pushes every blob with one PUT, the manifests by digest and the index by tag', async () => {
    const manifests = [multi.root, ...multi.children].map(({ digest }) => digest);
    for (const [digest, bytes] of multi.blobs) {
      if (manifests.includes(digest)) continue;
      const started = await client.send('POST', `/v2/${path}/blobs/uploads/`);
      assert.equal(started.status, 202);
      const headers = { 'content-type': 'application/octet-stream' };
      const put = await client.send('PUT', closingUrl(started.headers.location, digest), { headers, body: bytes });
      assert.equal(put.status, 201, put.body.toString());
      assert.equal(put.headers['docker-content-digest'], digest);
    }
    for (const { digest, mediaType } of [...multi.children, multi.root]) {
      const reference = digest === multi.root.digest ? 'v1' : digest;
      const headers = { 'content-type': mediaType };
      const body = multi.blobs.get(digest)!;
      const put = await client.send('PUT', `/v2/${path}/manifests/${reference}`, { headers, body });
      assert.equal(put.status, 201, put.body.toString());
      assert.equal(put.headers['docker-content-digest'], digest);
    }
    assert.deepEqual(await listTags(path), ['v1']);
  });

  test('sends nothing again once the tag answers the same digest', async () => {
    const head = await client.send('HEAD', `/v2/${path}/manifests/v1`, { headers: { accept: containerdAccept } });
    assert.equal(head.status, 200);
    assert.equal(head.headers['docker-content-digest'], multi.root.digest);
    assert.equal(head.headers['content-length'], String(multi.root.size));
  });

  test('fetches a child by its media type, and through a mirror by the name of the original host', async () => {
    const child = multi.children[1]!;
    const headers = { accept: `${child.mediaType}, */*` };
    const get = await client.send('GET', `/v2/${path}/manifests/${child.digest}`, { headers });
    assert.equal(digestOf(get.body), child.digest);
    const mirrored = await client.send('GET', `/v2/${path}/manifests/${child.digest}?ns=registry.example.org`, {
      headers,
    });
    assert.equal(mirrored.headers['docker-content-digest'], child.digest);
  });

  test('asks for referrers and gets an empty index where there are none', async () => {
    const query = new URLSearchParams({ artifactType: 'application/vnd.example+json' });
    const found = await client.send('GET', `/v2/${path}/referrers/${multi.root.digest}?${query}`);
    assert.equal(found.status, 200);
    assert.equal(found.headers['content-type'], mediaTypes.index);
    assert.deepEqual((JSON.parse(found.body.toString()) as { manifests: unknown[] }).manifests, []);
  });

  test('learns from a GET why a HEAD was refused', async () => {
    const missing = imagePath('wire/never-pushed');
    const get = await client.send('GET', `/v2/${missing}/manifests/v1`, { headers: { accept: containerdAccept } });
    assert.equal(get.status, 404);
    assert.ok(['NAME_UNKNOWN', 'MANIFEST_UNKNOWN'].includes(errorCode(get)), get.body.toString());
  });

  test('reads what another client pushed', async () => {
    const other = buildMultiArchImage('engine reads');
    await pushImage(imagePath('wire/foreign'), 'v1', other);
    const headers = { accept: containerdAccept };
    const get = await client.send('GET', `/v2/${imagePath('wire/foreign')}/manifests/v1`, { headers });
    assert.equal(digestOf(get.body), other.root.digest);
  });
});

async function pushClassicBlob(client: WireClient, path: string, blob: Buffer): Promise<void> {
  const digest = digestOf(blob);
  assert.equal((await client.send('HEAD', `/v2/${path}/blobs/${digest}`)).status, 404);
  const started = await client.send('POST', `/v2/${path}/blobs/uploads/`);
  assert.equal(started.status, 202, started.body.toString());
  assert.ok(started.headers['docker-upload-uuid']);
  assert.equal(started.headers.range, '0-0');

  const half = Math.floor(blob.length / 2);
  const chunks = [blob.subarray(0, half), blob.subarray(half)];
  const patched = await client.send('PATCH', started.headers.location ?? '', { chunks });
  assert.equal(patched.status, 202, patched.body.toString());
  assert.equal(patched.headers.range, `0-${blob.length - 1}`);
  assert.equal(patched.headers['docker-upload-uuid'], started.headers['docker-upload-uuid']);

  const put = await client.send('PUT', closingUrl(patched.headers.location, digest));
  assert.equal(put.status, 201, put.body.toString());
  assert.equal(put.headers['docker-content-digest'], digest);
  const stat = await client.send('HEAD', `/v2/${path}/blobs/${digest}`);
  assert.equal(stat.status, 200);
  assert.equal(stat.headers['content-length'], String(blob.length));
}

async function requireBearer(path: string): Promise<ReturnType<typeof parseChallenge>> {
  const response = await exchange('GET', path);
  assert.equal(response.status, 401);
  const challenge = parseChallenge(response.challenges[0] ?? '');
  assert.equal(challenge.scheme, 'bearer');
  return challenge;
}

function errorCode(response: WireResponse): string {
  const { errors } = JSON.parse(response.body.toString()) as { errors: { code: string }[] };
  return errors[0]?.code ?? '';
}
