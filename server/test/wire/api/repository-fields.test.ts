/** Every field of every class, for several package types: what is set is answered, and what is not has its default. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { PACKAGE_TYPES, REPOSITORY_CLASSES, type RepositoryClass } from '../../../src/core/package-types.ts';
import { fieldsOf, type SettingField } from '../../../src/repositories/fields.ts';
import { LOCKED } from '../../support/pgp-blocks.ts';
import type { TestApp } from '../../support/test-app.ts';
import { expectStatus, getJson, onEachStorage, sendJson } from './api-world.ts';

const ALL = '/artifactory/api/repositories';
const TYPES = ['generic', 'docker', 'maven', 'npm', 'go', 'terraform', 'helm', 'rpm'];
type Settings = Record<string, unknown>;

/** A value that is not the default, in the type the field has. */
function sampleOf(field: SettingField, packageType: string): unknown {
  const special = SPECIAL[field.name];
  if (special !== undefined) return special;
  // Images are served by one version only.
  if (field.name === 'dockerApiVersion') return packageType === 'docker' ? 'V2' : 'V1';
  const fallback = field.fallback(packageType, {});
  if (field.choices) return field.choices.at(-1);
  switch (field.kind) {
    case 'text':
      return `some ${field.name}`;
    case 'flag':
      return fallback !== true;
    case 'count':
      return 17;
    case 'names':
      return ['one', 'two'];
    case 'members':
      return [{ url: 'https://other.example/artifactory/there', enabled: false }];
    case 'headers':
      return [{ name: 'X-Team', value: 'tools', sensitive: false }];
    case 'synchronisation':
      return {
        enabled: true,
        statistics: { enabled: true },
        properties: { enabled: true },
        source: { originAbsenceDetection: true },
      };
  }
}

const SPECIAL: Settings = {
  includesPattern: 'org/**,com/**',
  excludesPattern: '**/*.tmp',
  repoLayoutRef: 'ivy-default',
  remoteRepoLayoutRef: 'maven-1-default',
  url: 'https://upstream.example/files',
  proxy: '',
  projectKey: 'apps',
  primaryKeyPairRef: 'pair',
  secondaryKeyPairRef: 'other-pair',
  keyPair: 'pair',
  storeArtifactsLocally: true,
  repositories: ['one'],
  defaultDeploymentRepo: 'one',
};

/** Of a virtual repository: a member there is. */
async function sampleFor(app: TestApp, rclass: RepositoryClass, packageType: string): Promise<Settings> {
  const sample: Settings = {};
  for (const field of fieldsOf(rclass)) sample[field.name] = sampleOf(field, packageType);
  if (rclass !== 'virtual') return sample;
  const member = `member-${packageType}`;
  await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/${member}`, { rclass: 'local', packageType }), 200);
  return { ...sample, repositories: [member], defaultDeploymentRepo: member };
}

onEachStorage('fields of repositories', (world) => {
  before(async () => {
    for (const pairName of ['pair', 'other-pair']) {
      const body = { pairName, pairType: 'GPG', ...LOCKED };
      await expectStatus(sendJson(world().app.admin, 'POST', '/artifactory/api/security/keypair', body), 201);
    }
  });

  for (const rclass of REPOSITORY_CLASSES) {
    const types = PACKAGE_TYPES.filter(({ name, classes }) => TYPES.includes(name) && classes.includes(rclass));
    test(`of ${rclass} ones come back as they were set`, async () => {
      const { app } = world();
      for (const { name: packageType } of types) {
        const key = `apps-${packageType}-${rclass}`;
        const sample = await sampleFor(app, rclass, packageType);
        await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/${key}`, { key, rclass, packageType, ...sample }), 200);
        const shown = (await getJson(app.admin, `${ALL}/${key}`)) as Settings;
        for (const field of fieldsOf(rclass)) {
          if (field.name === 'members') continue;
          const expected = field.secret ? '********' : sample[field.name];
          assert.deepEqual(shown[field.name], expected, `${key}: ${field.name}`);
        }
        assert.deepEqual([shown['key'], shown['rclass'], shown['packageType']], [key, rclass, packageType]);
        // What is sent back as it was shown changes nothing.
        await expectStatus(sendJson(app.admin, 'POST', `${ALL}/${key}`, shown), 200);
        assert.deepEqual(await getJson(app.admin, `${ALL}/${key}`), shown, key);
        await expectStatus(sendJson(app.admin, 'POST', `${ALL}/${key}`, { description: 'changed' }), 200);
        assert.deepEqual(await getJson(app.admin, `${ALL}/${key}`), { ...shown, description: 'changed' }, key);
      }
    });

    test(`of ${rclass} ones have their defaults in every package type`, async () => {
      const { app } = world();
      for (const type of PACKAGE_TYPES.filter(({ classes, system }) => classes.includes(rclass) && !system)) {
        const key = `plain-${type.name}-${rclass}`;
        const body = {
          rclass,
          packageType: type.name,
          ...(rclass === 'remote' && { url: 'https://upstream.example' }),
        };
        await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/${key}`, body), 200);
        const shown = (await getJson(app.admin, `${ALL}/${key}`)) as Settings;
        for (const field of fieldsOf(rclass)) {
          if (field.name === 'members' || field.name === 'url') continue;
          assert.deepEqual(shown[field.name], field.fallback(type.name, { rclass }), `${key}: ${field.name}`);
        }
        assert.equal(shown['enableDockerSupport'], type.name === 'docker');
      }
    });
  }

  test('take switches and numbers as text, and choices in any case', async () => {
    const { admin } = world().app;
    const lists = { environments: [''], propertySets: ['', 'one'] };
    const body = {
      ...lists,
      packageType: 'terraform',
      xrayIndex: 'true',
      maxUniqueTags: '5',
      terraformType: 'provider',
    };
    await expectStatus(sendJson(admin, 'PUT', `${ALL}/lenient`, body), 200);
    const shown = (await getJson(admin, `${ALL}/lenient`)) as Settings;
    assert.deepEqual([shown['environments'], shown['propertySets']], [[], ['one']]);
    assert.deepEqual(
      [shown['xrayIndex'], shown['maxUniqueTags'], shown['terraformType'], shown['repoLayoutRef']],
      [true, 5, 'PROVIDER', 'terraform-provider-default'],
    );
  });

  test('have a short form with the fields that are common to all types', async () => {
    const { admin } = world().app;
    const short = (key: string) => getJson(admin, `/artifactory/api/v2/repositories/${key}`) as Promise<Settings>;
    assert.deepEqual(
      Object.keys(await short('plain-generic-local')).sort(),
      (
        'archiveBrowsingEnabled blackedOut cdnRedirect description downloadRedirect environments excludesPattern ' +
        'includesPattern key notes packageType priorityResolution propertySets repoLayoutRef signedUrlTtl type ' +
        'xrayDataTtl xrayIndex'
      ).split(' '),
    );
    assert.deepEqual(
      Object.keys(await short('plain-generic-virtual')).sort(),
      (
        'artifactoryRequestsCanRetrieveRemoteArtifacts description environments excludesPattern ' +
        'hideUnauthorizedResources includesPattern key notes packageType repositories signedUrlTtl type'
      ).split(' '),
    );
    assert.equal((await short('plain-generic-remote'))['rclass'], undefined);
  });
});
