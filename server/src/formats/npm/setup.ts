/** How clients of npm's registry are set up. */
import {
  type ClientSetup,
  hostNameOf,
  isUnencrypted,
  run,
  SECRET,
  type SetUpFor,
  type SetUpRepository,
  type Snippet,
  UNENCRYPTED,
} from '../../core/setup.ts';
import { quoted, shellWord } from '../../lib/quoting.ts';

export function setUpNpm({ key }: SetUpRepository, { origin, user }: SetUpFor): readonly ClientSetup[] {
  const url = `${origin}/artifactory/api/npm/${key}/`;
  const settings = settingsOf(url);
  const publishConfig: Snippet = {
    title: 'Have one package always published here',
    language: 'json',
    file: 'package.json',
    code: `{\n  "publishConfig": {\n    "registry": ${quoted(url)}\n  }\n}\n`,
    note: 'A field to be added to the file.',
  };
  return [
    {
      id: 'npm',
      name: 'npm',
      steps: {
        'sign-in': [
          run('Sign in in a browser', `npm login --auth-type=web --registry=${shellWord(url)}`),
          run(
            'Sign in in the terminal',
            `npm login --auth-type=legacy --registry=${shellWord(url)}`,
            `Asks for a name, which is ${user}, a password and an address for mail.`,
          ),
        ],
        configure: [settings, scopeOf(url)],
        install: [run('Install a package', 'npm install PACKAGE_NAME')],
        publish: [run('Publish the package of this folder', 'npm publish'), publishConfig],
      },
    },
    {
      id: 'pnpm',
      name: 'pnpm',
      steps: {
        configure: [settings, scopeOf(url)],
        install: [run('Install a package', 'pnpm add PACKAGE_NAME')],
        publish: [run('Publish the package of this folder', 'pnpm publish'), publishConfig],
      },
    },
    {
      id: 'yarn',
      name: 'Yarn',
      steps: {
        configure: [...yarnSettings(origin, url)],
        install: [run('Install a package', 'yarn add PACKAGE_NAME')],
        publish: [run('Publish the package of this folder', 'yarn npm publish')],
      },
    },
    {
      id: 'yarn-classic',
      name: 'Yarn 1',
      steps: {
        configure: [{ ...settings, code: `${settings.code}always-auth=true\n` }],
        install: [run('Install a package', 'yarn add PACKAGE_NAME')],
        publish: [run('Publish the package of this folder', 'yarn publish --new-version PACKAGE_VERSION')],
      },
    },
    {
      id: 'bun',
      name: 'Bun',
      steps: {
        configure: [
          {
            title: 'Take packages from this repository',
            language: 'toml',
            file: 'bunfig.toml',
            code: `[install]\nregistry = { url = ${quoted(url)}, token = ${quoted(SECRET)} }\n`,
            note: TOKEN_ONLY,
          },
        ],
        install: [run('Install a package', 'bun add PACKAGE_NAME')],
        publish: [run('Publish the package of this folder', 'bun publish')],
      },
    },
  ];
}

const TOKEN_ONLY = 'Takes an access token; a password does not do here.';

function settingsOf(url: string): Snippet {
  return {
    title: 'Take packages from this repository',
    language: 'ini',
    file: '.npmrc',
    code: `registry=${npmrcText(url)}\n${credentialsOf(url)}`,
    note: TOKEN_ONLY,
  };
}

function scopeOf(url: string): Snippet {
  return {
    title: 'Take only the packages of a scope from this repository',
    language: 'ini',
    file: '.npmrc',
    code: `@YOUR_SCOPE:registry=${npmrcText(url)}\n${credentialsOf(url)}`,
    note: TOKEN_ONLY,
  };
}

function credentialsOf(url: string): string {
  return `${npmrcText(`${url.replace(/^https?:/, '')}:_authToken`)}=${SECRET}\n`;
}

/** A key or a value, in quotes where something in it would begin a comment. */
function npmrcText(text: string): string {
  return /^[\w@%+:,./[\]-]+$/.test(text) ? text : quoted(text);
}

function yarnSettings(origin: string, url: string): readonly Snippet[] {
  const file = '.yarnrc.yml';
  const lines = [
    `npmRegistryServer: ${quoted(url)}`,
    'npmAlwaysAuth: true',
    `npmAuthToken: ${quoted(SECRET)}`,
    ...(isUnencrypted(origin) ? [`unsafeHttpWhitelist: [${quoted(hostNameOf(origin))}]`] : []),
  ];
  return [
    {
      title: 'Take packages from this repository',
      language: 'yaml',
      file,
      code: `${lines.join('\n')}\n`,
      note: isUnencrypted(origin) ? `${TOKEN_ONLY} The last line: ${UNENCRYPTED}` : TOKEN_ONLY,
    },
    {
      title: 'Take packages of a scope as soon as they are published',
      language: 'yaml',
      file,
      code: 'npmPreapprovedPackages: ["@YOUR_SCOPE/*"]\n',
      note: 'Yarn takes no package that is younger than its setting npmMinimalAgeGate, which guards against hijacked ones.',
    },
  ];
}
