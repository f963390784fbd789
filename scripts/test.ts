// Runs one tier of tests (`unit`, `integration`, `system`) with Node's own runner, and fails if it ran nothing: the
// runner itself is content with a pattern that matches no file.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import path from 'node:path';

const [tier = 'unit', ...only] = process.argv.slice(2);
const root = path.join(import.meta.dirname, '..');
const patterns =
  tier === 'unit' ? ['test/tidy.test.ts', 'test/unit/**/*.test.ts'] : [`test/${tier}/**/*.test.ts`];
const files = only.length > 0 ? only : patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).sort();
if (files.length === 0) throw new Error(`no test files in test/${tier}`);

// The others share ports, namespaces, disk and two processors with each other: one file at a time.
const concurrency = tier === 'unit' ? [] : ['--test-concurrency=1'];
const { status } = spawnSync(
  process.execPath,
  ['--disable-warning=ExperimentalWarning', '--test', '--test-reporter=spec', ...concurrency, ...files],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined },
  },
);
process.exitCode = status ?? 1;
