/** How Python's clients are set up. */
import {
  type ClientSetup,
  hostOf,
  isOpenToOthers,
  isUnencrypted,
  run,
  SECRET,
  type SetUpFor,
  type SetUpRepository,
  type Snippet,
  UNENCRYPTED,
} from '../../core/setup.ts';
import { iniValue, quoted, shellWord, userInfo } from '../../lib/quoting.ts';

/** What clients mean something else by. */
const TAKEN = /^(pypi|testpypi|distutils|server-login)$/i;

interface Place {
  /** What clients call the repository in their settings. */
  readonly name: string;
  readonly uploads: string;
  readonly index: string;
  /** The index with credentials in its address. */
  readonly ownIndex: string;
  readonly origin: string;
  readonly user: string;
}

export function setUpPypi({ key }: SetUpRepository, { origin, user }: SetUpFor): readonly ClientSetup[] {
  const uploads = `${origin}/artifactory/api/pypi/${key}/`;
  const index = `${uploads}simple/`;
  const place: Place = {
    name: TAKEN.test(key) ? `entrepot-${key}` : key,
    uploads,
    index,
    ownIndex: index.replace('://', `://${userInfo(user, SECRET)}@`),
    origin,
    user,
  };
  return [pip(place), uv(place), poetry(place), pipenv(place), twine(place), flit(place)];
}

function pip({ ownIndex, origin }: Place): ClientSetup {
  const trusted = isOpenToOthers(origin);
  return {
    id: 'pip',
    name: 'pip',
    steps: {
      configure: [
        {
          title: 'Take packages from this repository',
          language: 'ini',
          file: 'pip.conf',
          code: `[global]\nindex-url = ${ownIndex}\n${trusted ? `trusted-host = ${hostOf(origin)}\n` : ''}`,
          note: `In ~/.config/pip/ on Linux, in %APPDATA%\\pip as pip.ini on Windows.${trusted ? ` The last line: ${UNENCRYPTED}` : ''}`,
        },
      ],
      install: [
        run('Install a package', 'pip install PACKAGE_NAME'),
        run(
          'Install a package without any settings',
          `pip install --index-url ${shellWord(ownIndex)}${trusted ? ` --trusted-host ${shellWord(hostOf(origin))}` : ''} PACKAGE_NAME`,
        ),
      ],
    },
  };
}

function uv({ name, uploads, index, user }: Place): ClientSetup {
  const variable = name.toUpperCase().replace(/[^A-Z0-9]/g, '_');
  const fields = [
    `name = ${quoted(name)}`,
    `url = ${quoted(index)}`,
    `publish-url = ${quoted(uploads)}`,
    'default = true',
  ];
  return {
    id: 'uv',
    name: 'uv',
    steps: {
      'sign-in': [
        run(
          'Credentials for installing',
          `export UV_INDEX_${variable}_USERNAME=${shellWord(user)}\nexport UV_INDEX_${variable}_PASSWORD=${SECRET}`,
        ),
      ],
      configure: [
        {
          title: 'Take packages from this repository',
          language: 'toml',
          file: 'pyproject.toml',
          code: `[[tool.uv.index]]\n${fields.join('\n')}\n`,
          note: 'In uv.toml, for all projects, the first line is [[index]].',
        },
      ],
      install: [run('Add a package to the project', 'uv add PACKAGE_NAME')],
      publish: [
        run(
          'Credentials for publishing',
          `export UV_PUBLISH_USERNAME=${shellWord(user)}\nexport UV_PUBLISH_PASSWORD=${SECRET}`,
        ),
        run('Build and publish the project', `uv build\nuv publish --index ${shellWord(name)}`),
      ],
    },
  };
}

function poetry({ name, uploads, index, user }: Place): ClientSetup {
  const fields = [`name = ${quoted(name)}`, `url = ${quoted(index)}`, 'priority = "primary"'];
  return {
    id: 'poetry',
    name: 'Poetry',
    steps: {
      'sign-in': [
        run('Store the credentials', `poetry config ${shellWord(`http-basic.${name}`)} ${shellWord(user)} ${SECRET}`),
      ],
      configure: [
        {
          title: 'Take packages from this repository',
          language: 'toml',
          file: 'pyproject.toml',
          code: `[[tool.poetry.source]]\n${fields.join('\n')}\n`,
        },
      ],
      install: [run('Add a package to the project', 'poetry add PACKAGE_NAME')],
      publish: [
        run('Name the repository', `poetry config ${shellWord(`repositories.${name}`)} ${shellWord(uploads)}`),
        run('Build and publish the project', `poetry publish --build --repository ${shellWord(name)}`),
      ],
    },
  };
}

function pipenv({ name, ownIndex, origin }: Place): ClientSetup {
  const fields = [
    `name = ${quoted(name)}`,
    `url = ${quoted(ownIndex)}`,
    `verify_ssl = ${isUnencrypted(origin) ? 'false' : 'true'}`,
  ];
  return {
    id: 'pipenv',
    name: 'Pipenv',
    steps: {
      configure: [
        {
          title: 'Take packages from this repository',
          language: 'toml',
          file: 'Pipfile',
          code: `[[source]]\n${fields.join('\n')}\n`,
          note: 'In the place of the source that is there. Variables of the environment are expanded in the address, so the secret can be one.',
        },
      ],
      install: [run('Add a package to the project', 'pipenv install PACKAGE_NAME')],
    },
  };
}

function twine(place: Place): ClientSetup {
  return {
    id: 'twine',
    name: 'Twine',
    steps: {
      publish: [
        repositoryFile(place),
        run('Publish what was built', `twine upload --repository ${shellWord(place.name)} dist/*`),
      ],
    },
  };
}

function flit(place: Place): ClientSetup {
  return {
    id: 'flit',
    name: 'Flit',
    steps: {
      publish: [
        repositoryFile(place),
        run('Build and publish the project', `flit publish --repository ${shellWord(place.name)}`),
      ],
    },
  };
}

function repositoryFile({ name, uploads, user }: Place): Snippet {
  return {
    title: 'Name the repository',
    language: 'ini',
    file: '~/.pypirc',
    code: [
      '[distutils]',
      'index-servers =',
      `    ${name}`,
      '',
      `[${name}]`,
      `repository = ${uploads}`,
      `username = ${iniValue(user)}`,
      `password = ${SECRET}`,
      '',
    ].join('\n'),
    note: 'Only the person whom it belongs to should be able to read this file.',
  };
}
