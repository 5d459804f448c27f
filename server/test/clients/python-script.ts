import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from './client-suite.ts';

export interface PythonOptions {
  /** Code that comes before every script: imports, and the names that scripts use. */
  readonly prelude: string;
  /** Values that scripts know by these names. */
  readonly values: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/** Runs a script in the Python of the client; what it assigned to `result` is answered, read from JSON. */
export type PythonScript = <Result = unknown>(script: string) => Promise<Result>;

/** Prepares the running of scripts that drive a library. A script that raises fails the test with its traceback. */
export function pythonScripts(client: Client, { prelude, values, cwd }: PythonOptions): PythonScript {
  return async <Result>(script: string) => {
    const [file, answer] = ['.py', '.json'].map((ending) => join(client.folder, `${randomUUID()}${ending}`));
    const known = Object.entries(values).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
    const lines = [
      'import json',
      ...known,
      prelude,
      'result = None',
      dedent(script),
      `with open(${JSON.stringify(answer)}, 'w') as file: json.dump(result, file, default=str)`,
    ];
    await writeFile(file as string, `${lines.join('\n')}\n`);
    await client.run([file as string], { cwd });
    return JSON.parse(await readFile(answer as string, 'utf8')) as Result;
  };
}

/** Takes away the indentation that all lines share, which scripts inside tests have. */
function dedent(script: string): string {
  const lines = script.split('\n');
  const depths = lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/));
  const depth = Math.min(...depths);
  return lines.map((line) => line.slice(depth)).join('\n');
}
