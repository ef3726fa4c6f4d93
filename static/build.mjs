// Minifies the tracker and its add-ons into `dist/` (or the folder given), with `manifest.json`: bytes, gzip, integrity.
// `--compare`: builds nothing, but tells what in `dist/` is not what these sources make, or larger than it may be.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { minify } from 'terser';

/** Bytes of `gzip -9`, at most. */
const LIMITS = { core: 4096, shop: 1100, cmp: 900, engage: 600, auto: 700, debug: 3000 };
const HERE = new URL('./', import.meta.url);
const DIST = new URL('dist/', HERE);
const { version } = JSON.parse(readFileSync(new URL('package.json', HERE)));

/** Found by trying: what makes the least after gzip. */
const COMPRESS = {
  passes: 3, unsafe: true, unsafe_arrows: true, pure_getters: true, ecma: 2020, keep_fargs: false, if_return: false, collapse_vars: false,
};

async function minified(entry, format) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    format,
    target: 'es2021',
    charset: 'utf8',
    legalComments: 'none',
    tsconfigRaw: {}, // without `strict`, which would put a directive into every file
    absWorkingDir: HERE.pathname,
    define: { VERSION: JSON.stringify(version) },
  });
  const { code } = await minify(outputFiles[0].text, { compress: COMPRESS, toplevel: true, module: format === 'esm', ecma: 2020 });
  // The outer function is dissolved where terser sees no need of it, and what it declares would be the page's globals.
  const isApart = format === 'esm' || (code.startsWith('(()=>{') && code.endsWith('})();'));
  return Buffer.from(isApart ? code : `(()=>{${code}})();`);
}

const made = { 'tracker.mjs': await minified('module.js', 'esm') };
const manifest = { version, files: {} };
for (const [name, limit] of Object.entries(LIMITS)) {
  const source = name === 'core' ? 'script.js' : `addons/${name}.js`;
  if (!existsSync(new URL(source, HERE))) continue;
  const code = await minified(source, 'iife');
  const integrity = 'sha384-' + createHash('sha384').update(code).digest('base64');
  made[`${name}.js`] = code;
  manifest.files[name] = { file: `${name}.js`, bytes: code.length, gzip: gzipSync(code, { level: 9 }).length, limit, integrity };
}
made['manifest.json'] = Buffer.from(JSON.stringify(manifest, null, 2) + '\n');

console.table(Object.fromEntries(Object.entries(manifest.files).map(([name, { bytes, gzip, limit }]) => [name, { bytes, gzip, limit }])));
const faults = Object.entries(manifest.files)
  .filter(([, { gzip, limit }]) => gzip > limit)
  .map(([name, { gzip, limit }]) => `${name} has ${gzip} bytes after gzip -9, ${limit} at most`);
if (process.argv.includes('--compare')) {
  for (const [name, content] of Object.entries(made)) {
    const file = new URL(name, DIST);
    if (!existsSync(file) || !readFileSync(file).equals(content)) faults.push(`dist/${name} is not what its source makes: run make tracker`);
  }
} else {
  mkdirSync(DIST, { recursive: true });
  for (const [name, content] of Object.entries(made)) writeFileSync(new URL(name, DIST), content);
}
for (const fault of faults) console.error(fault);
process.exit(faults.length ? 1 : 0);
