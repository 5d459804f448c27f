import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Writes the chart `hello`, whose one template greets with its version, for a client to package. */
export async function writeChart(folder: string, version: string): Promise<void> {
  await mkdir(join(folder, 'templates'), { recursive: true });
  await writeFile(
    join(folder, 'Chart.yaml'),
    `apiVersion: v2\nname: hello\ndescription: A chart of the client tests\nversion: ${version}\n`,
  );
  await writeFile(join(folder, 'values.yaml'), `greeting: hello from ${version}\n`);
  await writeFile(
    join(folder, 'templates/config.yaml'),
    'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: hello }\ndata:\n  greeting: {{ .Values.greeting }}\n',
  );
}
