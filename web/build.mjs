// Bundles src/*.js into fusionprep/data/web, each with the stylesheet it imports, and the licences
// of all that went in beside them.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const out = resolve(here, '../fusionprep/data/web')
const entries = readdirSync(join(here, 'src')).filter((name) => /^(viewer|group)\.js$/.test(name))

// NiiVue brings a reader of Zarr volumes and its decoders, 1.4 MB that no report needs.
const withoutZarr = {
  name: 'without-zarr',
  setup(builder) {
    builder.onResolve({ filter: /^zarrita$/ }, ({ path }) => ({ path, namespace: 'left-out' }))
    builder.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {}' }))
  },
}

function licences(inputs) {
  const found = inputs.map((path) => /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(path)).filter(Boolean)
  const packages = new Map(found.map(([, folder, name]) => [name, resolve(here, folder)]))
  return [...packages].sort().map(([name, folder]) => {
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const own = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file))
    const text = own ? join(folder, own) : join(here, 'licenses', `${name.replace('/', '-')}.txt`)
    if (!existsSync(text)) throw new Error(`no licence text of ${name}: put one at ${text}`)
    return `${name} ${version} (${license})\n\n${readFileSync(text, 'utf8').trim()}\n`
  })
}

rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: entries.map((name) => join('src', name)),
  outdir: out,
  bundle: true,
  minify: true,
  charset: 'ascii',
  format: 'iife',
  target: 'es2020',
  legalComments: 'none',
  loader: { '.svg': 'dataurl', '.png': 'dataurl' },
  metafile: true,
  plugins: [withoutZarr],
})
writeFileSync(
  join(out, 'LICENSES.txt'),
  `Third-party software in the scripts beside this file.\n\n${licences(Object.keys(metafile.inputs)).join(`\n${'-'.repeat(80)}\n\n`)}`,
)
for (const [path, { bytes }] of Object.entries(metafile.outputs)) {
  console.log(`${path.split('/').pop()}: ${Math.round(bytes / 1000)} kB`)
}
