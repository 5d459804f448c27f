/** How files are put and fetched by plain paths. */
import { type ClientSetup, run, SECRET, type SetUpFor, type SetUpRepository } from '../../core/setup.ts';
import { shellWord } from '../../lib/quoting.ts';

export function setUpGeneric({ key }: SetUpRepository, { origin, user }: SetUpFor): readonly ClientSetup[] {
  const path = 'FOLDER_NAME/FILE_NAME';
  const url = shellWord(`${origin}/artifactory/${key}/${path}`);
  const credentials = shellWord(`${user}:${SECRET}`);
  return [
    {
      id: 'curl',
      name: 'curl',
      steps: {
        install: [run('Download a file', `curl --fail --user ${credentials} --remote-name ${url}`)],
        publish: [run('Upload a file', `curl --fail-with-body --user ${credentials} --upload-file FILE_NAME ${url}`)],
      },
    },
    {
      id: 'wget',
      name: 'Wget',
      steps: {
        install: [
          run('Download a file', `wget --auth-no-challenge ${shellWord(`--user=${user}`)} --password=${SECRET} ${url}`),
        ],
      },
    },
    {
      id: 'jf',
      name: 'JFrog CLI',
      steps: {
        configure: [
          run(
            'Name this server',
            `jf config add entrepot --url=${shellWord(origin)} --user=${shellWord(user)} --password=${SECRET} --interactive=false`,
          ),
        ],
        install: [run('Download a file', `jf rt download --server-id=entrepot ${shellWord(`${key}/${path}`)} ./`)],
        publish: [
          run('Upload a file', `jf rt upload --server-id=entrepot FILE_NAME ${shellWord(`${key}/FOLDER_NAME/`)}`),
        ],
      },
    },
  ];
}
