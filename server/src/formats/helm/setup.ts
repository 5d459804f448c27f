/** How Helm is set up for a repository with an index. */
import { type ClientSetup, run, SECRET, type SetUpFor, type SetUpRepository } from '../../core/setup.ts';
import { quoted, shellWord } from '../../lib/quoting.ts';

export function setUpHelm({ key }: SetUpRepository, { origin, user }: SetUpFor): readonly ClientSetup[] {
  const url = `${origin}/artifactory/api/helm/${key}`;
  const name = shellWord(key);
  const add = run(
    'Add the repository',
    `printf '%s' ${SECRET} | helm repo add ${name} ${shellWord(url)} --username ${shellWord(user)} --password-stdin`,
  );
  return [
    {
      id: 'helm',
      name: 'Helm',
      steps: {
        configure: [
          add,
          {
            title: 'Let a chart depend on one of this repository',
            language: 'yaml',
            file: 'Chart.yaml',
            code: `dependencies:\n  - name: CHART_NAME\n    version: CHART_VERSION\n    repository: ${quoted(url)}\n`,
            note: 'The credentials are those of the repository as it was added.',
          },
        ],
        install: [
          run('See what there is', `helm repo update ${name}\nhelm search repo ${name}/`),
          run('Install a chart', `helm install RELEASE_NAME ${name}/CHART_NAME --version CHART_VERSION`),
          run('Download a chart', `helm pull ${name}/CHART_NAME --version CHART_VERSION`),
        ],
        publish: [
          run(
            'Publish a chart',
            `curl --fail-with-body --user ${shellWord(`${user}:${SECRET}`)} --upload-file CHART_NAME-CHART_VERSION.tgz ${shellWord(`${url}/`)}`,
          ),
        ],
      },
    },
    {
      id: 'cm-push',
      name: 'Helm with the plugin cm-push',
      steps: {
        configure: [
          run('Install the plugin, once', 'helm plugin install https://github.com/chartmuseum/helm-push'),
          add,
        ],
        publish: [run('Package and publish the chart of a folder', `helm cm-push CHART_NAME ${name}`)],
      },
    },
  ];
}
