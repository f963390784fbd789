// One self-contained file a program: how esbuild is called, for the staged tree and for what runs as the staged tree
// does.
import path from 'node:path';
import { build, type OutputFile } from 'esbuild';
import { nativePlugin } from './native.ts';

const root = path.join(import.meta.dirname, '..');

/** Bundles `entries` (name → source) as `outdir`/name.mjs, in memory; addons are looked for in `outdir`/native. */
export async function bundle(entries: Record<string, string>, outdir: string): Promise<OutputFile[]> {
  const { outputFiles } = await build({
    entryPoints: entries,
    outdir,
    outExtension: { '.js': '.mjs' },
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // Whitespace stays: on an uncaught error Node prints the offending line, which would be the whole bundle.
    minifySyntax: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [nativePlugin(root)],
    banner: {
      js: [
        "import { createRequire as $require } from 'node:module';",
        'const require = $require(import.meta.url), __dirname = import.meta.dirname;',
      ].join('\n'),
    },
  });
  return outputFiles;
}
