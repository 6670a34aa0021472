// The viewer of the subject report: a T1w and what was laid over it, from the volumes that
// sub-<label>_desc-viewer_data.js left in window.fusionprepVolumes.
import { DRAG_MODE, NVImage, Niivue, SLICE_TYPE } from '@niivue/niivue'

const COLOURS = ['gray', 'inferno', 'hot', 'viridis', 'plasma', 'cividis', 'bone', 'red', 'winter']
const PLANES = {
  'All three': SLICE_TYPE.MULTIPLANAR,
  Axial: SLICE_TYPE.AXIAL,
  Coronal: SLICE_TYPE.CORONAL,
  Sagittal: SLICE_TYPE.SAGITTAL,
}
const STEPS = {
  ArrowLeft: [-1, 0, 0],
  ArrowRight: [1, 0, 0],
  ArrowDown: [0, -1, 0],
  ArrowUp: [0, 1, 0],
  PageDown: [0, 0, -1],
  PageUp: [0, 0, 1],
}
// A fused image already holds the T1w. An image in colour has no colour map: its `colours` is null.
const OPACITY = { fused: 100 }
const OPACITY_OF_SOURCES = 55

const part = (name) => document.getElementById(`viewer-${name}`)

function fill(select, names, chosen = 0) {
  select.replaceChildren(...names.map((name, value) => new Option(name, value, value === chosen, value === chosen)))
}

function readable(value) {
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : Number(value.toPrecision(3)).toString()
}

function position(location, shown) {
  const [x, y, z] = Array.from(location.mm).map((mm) => Math.round(mm))
  const values = location.values.map(({ value }, i) => {
    if (!shown[i].colours) return shown[i].label
    const units = shown[i].units ? ` ${shown[i].units}` : ''
    return `${shown[i].label} ${readable(value)}${units}`
  })
  return [`x ${x}, y ${y}, z ${z} mm`, ...values].join(' · ')
}

class Viewer {
  constructor(stages) {
    this.stages = stages
    this.loading = Promise.resolve()
    this.niivue = new Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.35, 0.85, 1, 0.8],
      crosshairWidth: 0.7,
      crosshairWidthUnit: 'mm',
      crosshairGap: 6,
      dragAndDropEnabled: false,
      dragMode: DRAG_MODE.none,
      fontColor: [0.85, 0.88, 0.9, 1],
      isColorbar: false,
      showAllOrientationMarkers: true,
      isNearestInterpolation: false,
      loadingText: '',
      logLevel: 'error',
      multiplanarPadPixels: 6,
      multiplanarShowRender: 0,
      sliceType: SLICE_TYPE.MULTIPLANAR,
      show3Dcrosshair: false,
    })
    this.niivue.onLocationChange = (location) => {
      part('position').textContent = position(location, this.shown)
    }
  }

  async start() {
    const canvas = part('canvas')
    await this.niivue.attachToCanvas(canvas)
    // Registered on the parent, so that they run before NiiVue's own.
    canvas.parentElement.addEventListener('keydown', (event) => this.key(event), true)
    canvas.parentElement.addEventListener('keyup', (event) => event.stopPropagation(), true)
    canvas.parentElement.addEventListener('wheel', (event) => this.wheel(event), { capture: true, passive: true })
    canvas.addEventListener('mousedown', () => canvas.focus({ preventScroll: true }))
    fill(part('anatomy'), this.stages.map(({ label }) => label))
    part('anatomy-label').hidden = this.stages.length < 2
    fill(part('colours'), COLOURS)
    fill(part('planes'), Object.keys(PLANES))
    part('anatomy').addEventListener('change', () => this.run(() => this.showAnatomy()))
    part('overlay').addEventListener('change', () => this.run(() => this.showOverlay()))
    part('opacity').addEventListener('input', () => this.setOpacity())
    part('colours').addEventListener('change', () => this.setColours())
    part('planes').addEventListener('change', () => {
      this.niivue.setSliceType(Object.values(PLANES)[Number(part('planes').value)])
    })
    await this.run(() => this.showAnatomy())
  }

  // One change of volumes at a time: a second, made while the first still reads, waits for it.
  run(change) {
    this.loading = this.loading.then(change)
    return this.loading
  }

  get stage() {
    return this.stages[Number(part('anatomy').value)]
  }

  async read(volume) {
    return NVImage.loadFromBase64({ base64: volume.nifti, name: 'volume.nii.gz', colormap: volume.colours ?? 'gray' })
  }

  async showAnatomy() {
    const [anatomy, ...overlays] = this.stage.volumes
    const image = await this.read(anatomy)
    while (this.niivue.volumes.length) this.niivue.removeVolume(this.niivue.volumes[0])
    this.shown = [anatomy]
    this.niivue.addVolume(image)
    const inColour = overlays.findIndex(({ colours }) => !colours)
    fill(part('overlay'), [...overlays.map(({ label }) => label), 'None'], Math.max(inColour, 0))
    await this.showOverlay()
  }

  async showOverlay() {
    const volume = this.stage.volumes[Number(part('overlay').value) + 1]
    const image = volume && (await this.read(volume))
    if (this.niivue.volumes.length > 1) this.niivue.removeVolume(this.niivue.volumes[1])
    this.shown = volume ? [this.shown[0], volume] : [this.shown[0]]
    part('opacity').disabled = !volume
    part('colours').disabled = !volume?.colours
    if (volume) {
      part('opacity').value = OPACITY[volume.kind] ?? OPACITY_OF_SOURCES
      if (volume.colours) part('colours').value = COLOURS.indexOf(volume.colours)
      this.niivue.addVolume(image)
      this.setOpacity()
    }
    this.niivue.drawScene()
    this.niivue.createOnLocationChange()
  }

  setOpacity() {
    if (this.niivue.volumes.length > 1) this.niivue.setOpacity(1, Number(part('opacity').value) / 100)
  }

  setColours() {
    if (this.niivue.volumes.length < 2) return
    this.niivue.setColormap(this.niivue.volumes[1].id, COLOURS[Number(part('colours').value)])
  }

  key(event) {
    const step = STEPS[event.key]
    if (event.target === part('canvas') && step && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault()
      this.niivue.moveCrosshairInVox(...step)
    }
    event.stopPropagation()
  }

  // Without the focus the wheel moves the page, which would otherwise be caught here.
  wheel(event) {
    if (document.activeElement !== part('canvas')) event.stopPropagation()
  }
}

function refuse(reason) {
  part('panel').hidden = true
  const missing = part('missing')
  missing.hidden = false
  missing.textContent = `No interactive viewer: ${reason}. The figures below show the same images.`
}

async function main() {
  if (!part('panel')) return
  const stages = window.fusionprepVolumes?.stages
  if (!stages?.length) return refuse('its volumes could not be read from the folder beside this page')
  if (!document.createElement('canvas').getContext('webgl2')) return refuse('this browser has no WebGL 2')
  part('panel').hidden = false
  part('missing').hidden = true
  try {
    await new Viewer(stages).start()
  } catch (error) {
    console.error(error)
    refuse(`it could not be drawn (${error.message})`)
  }
}

main()
