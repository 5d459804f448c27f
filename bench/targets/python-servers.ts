import { runCommand } from '../../server/test/clients/command.ts';
import { installPython } from '../../server/test/clients/python.ts';
import type { PythonClient } from '../../server/test/clients/versions.ts';
import { requireInstalled } from './installed.ts';
import type { Kind } from './target.ts';

const initLimitMs = 60_000;

const devpi: PythonClient = {
  kind: 'python',
  package: 'devpi-server',
  version: '6.20.3',
  command: 'devpi-server',
  with: [
    'anyio==4.16.0',
    'argon2-cffi==25.1.0',
    'argon2-cffi-bindings==26.2.0',
    'attrs==26.1.0',
    'certifi==2026.10.18',
    'cffi==2.1.1',
    'charset-normalizer==3.5.2',
    'defusedxml==0.7.1',
    'devpi-common==4.1.1',
    'h11==0.16.0',
    'httpcore==1.0.9',
    'httpx==0.28.1',
    'hupper==1.12.1',
    'idna==3.20',
    'itsdangerous==2.2.0',
    'lazy==2.0',
    'packaging==26.3',
    'packaging-legacy==23.0.post0',
    'passlib==1.7.4',
    'PasteDeploy==3.1.0',
    'plaster==1.1.2',
    'plaster-pastedeploy==1.0.1',
    'platformdirs==4.14.7',
    'pluggy==1.7.0',
    'py==1.11.0',
    'pycparser==3.12',
    'pyramid==2.1',
    'python-dateutil==4.0.0',
    'repoze-lru==0.8',
    'requests==2.34.2',
    'ruamel.yaml==0.19.1',
    'setuptools==80.9.0',
    'strictyaml==1.7.3',
    'translationstring==1.4',
    'typing_extensions==4.16.0',
    'tzdata==2026.6',
    'urllib3==2.8.0',
    'venusian==3.1.1',
    'waitress==3.0.2',
    'WebOb==1.8.11',
    'zope.deprecation==6.0',
    'zope.interface==8.7',
  ],
};

const pypi: PythonClient = {
  kind: 'python',
  package: 'pypiserver',
  version: '2.4.2',
  command: 'pypi-server',
  // With the last two it keeps connections open, and listings in memory.
  with: ['defusedxml==0.7.1', 'importlib_resources==7.1.0', 'packaging==26.3', 'waitress==3.0.2', 'watchdog==7.1.0'],
};

/** devpi-server with one user, `root`, and no index yet. */
export async function devpiServer(rootPassword: string): Promise<Kind> {
  const { path, version } = requireInstalled(devpi.package, await installPython(devpi));
  return {
    name: `devpi-server ${version}`,
    namePrefix: '',
    credentials: undefined,
    readyPath: '/+api',
    prepare: async ({ host, port, dir }) => {
      const init = ['--serverdir', `${dir}/server`, '--no-root-pypi', '--root-passwd', rootPassword];
      await runCommand(path.replace(/devpi-server$/, 'devpi-init'), init, { timeoutMs: initLimitMs });
      return {
        file: path,
        args: ['--serverdir', `${dir}/server`, '--host', host, '--port', String(port)],
        env: process.env,
      };
    },
  };
}

/** pypiserver over a folder of files. */
export async function pypiserver(folder: string): Promise<Kind> {
  const { path, version } = requireInstalled(pypi.package, await installPython(pypi));
  return {
    name: `pypiserver ${version}`,
    namePrefix: '',
    credentials: undefined,
    readyPath: '/health',
    prepare: async ({ host, port }) => ({
      file: path,
      args: ['run', '--host', host, '--port', String(port), '--disable-fallback', folder],
      env: process.env,
    }),
  };
}
