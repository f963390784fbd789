// The walls between the layers, as lint: a core does no I/O, a daemon never imports another, lib never imports a
// daemon, and only lib/sys touches native code. Flat config replaces a rule's options instead of merging them,
// so each folder's list is built whole.
import { readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const daemons = readdirSync(new URL('daemons/', import.meta.url), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'lares')
  .map((entry) => entry.name);

const pureBuiltins = new Set(['assert', 'buffer', 'crypto', 'util']);
const io = builtinModules
  .filter((name) => !name.startsWith('node:') && !pureBuiltins.has(name))
  .flatMap((name) => [name, `node:${name}`]);

const noNative = { group: ['koffi'], message: 'only lib/sys touches native code' };
const noDatabase = { group: ['better-sqlite3', 'pino', 'commander'], message: 'a core is pure' };
const noDaemons = { group: ['**/daemons/**'], message: 'lib never imports a daemon' };
const noOther = (daemon) => ({
  group: [...daemons, 'lares']
    .filter((name) => name !== daemon)
    .flatMap((name) => [`../${name}/**`, `../../${name}/**`, `**/daemons/${name}/**`]),
  message: 'a daemon never imports another daemon',
});
const walls = (paths, patterns) => ({
  '@typescript-eslint/no-restricted-imports': [
    'error',
    { paths: paths.map((name) => ({ name, message: 'a core does no I/O' })), patterns },
  ],
});

export default defineConfig(
  { ignores: ['dist/**', 'node_modules/**', 'var/**'] },
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['eslint.config.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      'no-console': 'error',
      'no-undef': 'off',
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['test', 'describe', 'it', 'suite'], package: 'node:test' },
          ],
        },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
    },
  },
  { files: ['eslint.config.js'], extends: [tseslint.configs.disableTypeChecked] },
  { files: ['lib/**/*.ts'], ignores: ['lib/sys/**'], rules: walls([], [noNative, noDaemons]) },
  { files: ['lib/sys/**/*.ts'], rules: walls([], [noDaemons]) },
  ...daemons.map((daemon) => ({
    files: [`daemons/${daemon}/**/*.ts`],
    rules: walls([], [noNative, noOther(daemon)]),
  })),
  ...daemons.map((daemon) => ({
    files: [`daemons/${daemon}/core/**/*.ts`],
    rules: walls(io, [
      noNative,
      noDatabase,
      noOther(daemon),
      {
        group: [
          '../../../lib/*',
          '!../../../lib/errors.ts',
          '!../../../lib/netlink',
          '!../../../lib/networks.ts',
        ],
        message: 'of lib, a core may use what is pure',
      },
    ]),
  })),
  { files: ['daemons/lares/**/*.ts'], rules: walls([], [noNative]) },
);
