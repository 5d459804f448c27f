/** Parses the command line and runs one command. */
import { runCommand } from './cli/program.ts';

await runCommand(process.argv);
