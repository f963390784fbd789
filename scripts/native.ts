// How bundles find native addons. Each package looks for its own in a way of its own (stack frames, __dirname, a local
// require); here every one becomes a plain require of lib/lares/native/NAME.node.
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Plugin } from 'esbuild';

const { arch } = process;

/** File name in lib/lares/native, and where npm has put it. */
export function addons(root: string): Record<string, string> {
  const at = (file: string): string => path.join(root, 'node_modules', file);
  return {
    'better_sqlite3.node': at(`better-sqlite3/prebuilds/linux-${arch}.node`),
    'koffi.node': at(`@koromix/koffi-linux-${arch}/linux_${arch}/koffi.node`),
  };
}

export function nativePlugin(root: string): Plugin {
  const require = createRequire(path.join(root, 'package.json'));
  return {
    name: 'native',
    setup(build) {
      // better-sqlite3 exports an entry for each platform whose require is static.
      build.onResolve({ filter: /^better-sqlite3$/ }, () => ({
        path: require.resolve(`better-sqlite3/linux-${arch}`),
      }));
      build.onResolve({ filter: /prebuilds\/linux-.*\.node$/ }, () => ({
        path: './native/better_sqlite3.node',
        external: true,
      }));
      // koffi makes a require of its own in one file, which a bundler cannot see.
      build.onLoad({ filter: /koffi\/src\/koffi\/src\/static\.js$/ }, () => ({
        contents: "import native from 'native:koffi'; export function loadStatic() { return native; }",
        loader: 'js',
      }));
      build.onResolve({ filter: /^native:/ }, ({ path: name }) => ({
        path: name.slice('native:'.length),
        namespace: 'native',
      }));
      build.onLoad({ filter: /.*/, namespace: 'native' }, ({ path: name }) => ({
        contents: `module.exports = require('./native/${name}.node');`,
        loader: 'js',
      }));
      build.onResolve({ filter: /^\.\/native\// }, ({ path: file }) => ({ path: file, external: true }));
    },
  };
}
