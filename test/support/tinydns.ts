// Debian's tinydns as a process, and questions to it with dig.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { type Network, program, serverAddress } from './netns.ts';

const run = promisify(execFile);
const nobody = 65_534;

/** tinydns on the server's address, on the data.cdb of `folder`; ends with the test. Wait for its first answer. */
export function serve(t: TestContext, { server }: Network, folder: string): void {
  const [command, ...args] = [...server, program('tinydns')];
  const env = {
    PATH: process.env['PATH'],
    ROOT: folder,
    IP: serverAddress.v4,
    UID: String(nobody),
    GID: String(nobody),
  };
  // What it prints is a line a query, in hexadecimal.
  const child = spawn(command, args, { env, stdio: 'ignore' });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
}

/** The answers to `NAME TYPE` questions, one `NAME TYPE DATA` each, asked from the clients' side. */
export async function ask({ clients }: Network, ...questions: string[]): Promise<string[]> {
  const options = ['+noedns', '+norecurse', '+tries=2', '+time=2', '+noall', '+answer', '+nottlid', '+nocl'];
  const words = questions.flatMap((question) => question.split(' '));
  const [command = '', ...args] = [...clients, program('dig'), ...options, `@${serverAddress.v4}`, ...words];
  const { stdout } = await run(command, args, { maxBuffer: 2 ** 24 }).catch(noAnswer);
  const lines = stdout.split('\n').filter((line) => line !== '' && !line.startsWith(';'));
  return lines.map((line) => line.split(/\s+/).join(' '));
}

// dig ends with a status of its own where nobody answers, or where one name of several has no such record.
function noAnswer(error: unknown): { stdout: string } {
  if (error instanceof Error && 'stdout' in error && typeof error.stdout === 'string')
    return { stdout: error.stdout };
  throw error;
}

/** The serial number that it serves for `name`. */
export async function serialOf(network: Network, name: string): Promise<number> {
  const [answer = ''] = await ask(network, `${name} SOA`);
  return Number(answer.split(' ')[4]);
}
