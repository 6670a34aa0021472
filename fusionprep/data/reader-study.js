// The page of a reader study: instructions, practice with feedback, then blocks of trials. It knows
// images by names that say nothing, and keeps each answer in this browser until it is downloaded.
'use strict'

const study = JSON.parse(document.getElementById('study').textContent)
const part = (name) => document.getElementById(name)

const COLUMNS = ['study', 'reader', 'order', 'trial', 'task', 'left', 'right', 'chosen', 'rating', 'x', 'y', 'seconds']
const MISSING = 'n/a'
const RATINGS = ['no lesion', 'hardly sure', 'slightly sure', 'fairly sure', 'very sure', 'certain']
const STEP = 1
const LEAP = 10
const HELD = 4
const PART = { choose: 'Which image has the lesion?', mark: 'Is there a lesion, and where?' }
const HELP = {
  choose: [
    'Two images are shown. One of them has a lesion, the other none.',
    'Press <kbd>←</kbd> or <kbd>→</kbd> for the left or the right image, or click it, then <kbd>Enter</kbd>. If you cannot tell, guess.',
  ],
  mark: [
    'One image is shown. It has one lesion or none.',
    'If you see one, move the cross to its middle: click, or use <kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd>, with <kbd>Shift</kbd> for larger steps. Then press <kbd>1</kbd> (hardly sure) to <kbd>5</kbd> (certain) for how sure you are, and <kbd>Enter</kbd>.',
    'If you see none, press <kbd>0</kbd>, and <kbd>Enter</kbd>.',
    'Use all of the scale: a place of which you are hardly sure is worth marking with 1.',
  ],
}

// Numbers from 0 to 1 that repeat for a text (mulberry32).
function random(text) {
  let seed = 2166136261
  for (const letter of text) seed = Math.imul(seed ^ letter.codePointAt(0), 16777619)
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

function shuffled(items, next) {
  const order = [...items]
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(next() * (last + 1))
    ;[order[last], order[other]] = [order[other], order[last]]
  }
  return order
}

// Blocks of trials of a task, in an order of the reader's own, left and right exchanged at random.
function blocksOf(task, reader) {
  const next = random(`${study.study} ${reader} ${task}`)
  const blocks = new Map()
  for (const trial of study.trials.filter((each) => each.task === task)) {
    blocks.set(trial.block, [...(blocks.get(trial.block) ?? []), trial])
  }
  return shuffled([...blocks.values()], next).map((trials) => shuffled(trials, next).map(
    (trial) => ({ ...trial, images: shuffled(trial.images, next) }),
  ))
}

// The answers of one reader; in memory alone where the browser keeps nothing.
class Answers {
  constructor(reader) {
    this.reader = reader
    this.place = `${Answers.prefix}${reader}`
    this.rows = []
    this.practised = []
    this.kept = true
    this.taken = true
    try {
      const told = JSON.parse(localStorage.getItem(this.place))
      this.rows = told?.rows ?? []
      this.practised = told?.practised ?? []
    } catch {
      this.kept = false
    }
  }

  static prefix = `fusionprep-reader-study:${study.study}:`

  static readers() {
    try {
      return Object.keys(localStorage).filter((key) => key.startsWith(Answers.prefix))
        .map((key) => key.slice(Answers.prefix.length)).sort()
    } catch {
      return []
    }
  }

  has(trial) {
    return this.rows.some((row) => row.trial === trial)
  }

  add(row) {
    this.rows.push({ study: study.study, reader: this.reader, order: this.rows.length + 1, ...row })
    this.save()
  }

  practise(task) {
    this.practised.push(task)
    this.save()
  }

  save() {
    this.taken = false
    try {
      localStorage.setItem(this.place, JSON.stringify({ rows: this.rows, practised: this.practised }))
    } catch {
      this.kept = false
    }
  }

  download() {
    const lines = this.rows.map((row) => COLUMNS.map((name) => row[name] ?? MISSING))
    const text = [COLUMNS, ...lines].map((line) => `${line.join('\t')}\n`).join('')
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob([text], { type: 'text/tab-separated-values' }))
    link.download = `answers-${this.reader}.tsv`
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 10000)
    this.taken = true
  }
}

// Seconds since an image was shown, without those during which the page was hidden.
class Watch {
  start() {
    this.sum = 0
    this.since = document.hidden ? null : performance.now()
  }

  turn() {
    if (this.sum === undefined) return
    if (document.hidden && this.since !== null) {
      this.sum += performance.now() - this.since
      this.since = null
    } else if (!document.hidden) this.since ??= performance.now()
  }

  seconds() {
    return (this.sum + (this.since === null ? 0 : performance.now() - this.since)) / 1000
  }
}

const watch = new Watch()
document.addEventListener('visibilitychange', () => watch.turn())

function element(name, properties = {}, ...inside) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...inside)
  return made
}

function panelsOf(image) {
  return study.images[image].map((data) => {
    const panel = element('div', { className: 'panel' }, element('img', { alt: '', src: `data:image/png;base64,${data}` }))
    panel.firstChild.draggable = false
    panel.dataset.image = image
    if (study.turned) panel.append(element('span', { className: 'side', textContent: 'R' }))
    return panel
  })
}

const percent = (value, whole) => `${((value + 0.5) / whole) * 100}%`

function put(overlay, [x, y]) {
  overlay.style.left = percent(x, study.width)
  overlay.style.top = percent(y, study.height)
}

function ringAt(place) {
  const ring = element('div', { className: 'ring' })
  ring.style.width = `${(2 * study.radius / study.width) * 100}%`
  put(ring, place)
  return ring
}

function show(name) {
  for (const section of ['start', 'message', 'trial']) part(section).hidden = section !== name
  window.scrollTo(0, 0)
}

// Counts what was put before the reader, for scripts that read the page.
function ready() {
  document.body.dataset.step = Number(document.body.dataset.step ?? 0) + 1
}

// A page of words, until the reader goes on.
function message(title, lines, answers, { download = false, last = false } = {}) {
  part('message-title').textContent = title
  part('message-text').innerHTML = lines.map((line) => `<p>${line}</p>`).join('')
  part('download').hidden = !download
  part('download').classList.toggle('main', last)
  part('on').hidden = last
  part('kept').textContent = answers.kept ? '' : 'This browser keeps nothing: download the answers before the page is closed.'
  show('message')
  ;(last ? part('download') : part('on')).focus()
  return new Promise((resolve) => {
    part('download').onclick = () => answers.download()
    part('on').onclick = resolve
    ready()
  })
}

// What a question shows and how it is answered: `answer()` is null, with a reason, until it can be.
class Choice {
  constructor(trial) {
    this.trial = trial
    this.buttons = trial.images.map((image, side) => {
      const name = side ? 'Right' : 'Left'
      const panels = element('div', { className: 'panels' }, ...panelsOf(image))
      const button = element('button', { type: 'button', className: 'alternative' }, panels, name)
      button.setAttribute('aria-label', `${name} image`)
      button.addEventListener('click', () => this.choose(side))
      return button
    })
    this.choose(null)
    this.reason = 'Choose an image first: ← or →.'
    this.focus = part('confirm')
  }

  choose(side) {
    this.side = side
    this.buttons.forEach((button, index) => button.setAttribute('aria-pressed', index === side))
    if (side !== null) this.focus.focus()
  }

  place(stage) {
    stage.replaceChildren(...this.buttons)
    stage.removeAttribute('tabindex')
    stage.removeAttribute('role')
    stage.removeAttribute('aria-label')
    part('rating').hidden = true
  }

  key(event) {
    if (event.key === 'ArrowLeft') this.choose(0)
    else if (event.key === 'ArrowRight') this.choose(1)
    else return false
    return true
  }

  answer() {
    if (this.side === null) return null
    const [left, right] = this.trial.images
    return { left, right, chosen: this.trial.images[this.side] }
  }

  feedback() {
    const right = this.trial.lesions[this.trial.images.indexOf(this.answer().chosen)] !== null
    this.buttons.forEach((button, side) => {
      const place = this.trial.lesions[side]
      if (place) button.querySelectorAll('.panel').forEach((panel) => panel.append(ringAt(place)))
    })
    return right ? 'Right: the lesion is in the circle.' : 'No: the lesion is in the circle.'
  }
}

class Mark {
  constructor(trial) {
    this.trial = trial
    this.at = null
    this.rating = null
    this.panels = panelsOf(trial.images[0])
    this.crosses = this.panels.map((panel) => {
      const cross = element('div', { className: 'cross', hidden: true }, ...Array.from({ length: 4 }, () => element('i')))
      panel.append(cross)
      panel.addEventListener('click', (event) => this.click(panel, event))
      return cross
    })
    this.buttons = RATINGS.map((words, rating) => {
      const button = element('button', { type: 'button' }, String(rating), element('small', { textContent: words }))
      button.addEventListener('click', () => this.rate(rating))
      return button
    })
    this.focus = part('stage')
    this.show()
  }

  get reason() {
    if (this.rating === null && !this.at) return 'Mark the place and press 1 to 5, or press 0 for no lesion.'
    return this.at ? 'Press 1 to 5 for how sure you are, or 0 for no lesion.' : 'Mark the place first: click, or the arrow keys.'
  }

  place(stage) {
    stage.replaceChildren(...this.panels)
    stage.tabIndex = 0
    stage.setAttribute('role', 'application')
    stage.setAttribute('aria-label', 'Image. Arrow keys move the cross, digits rate, Enter confirms.')
    part('rating').replaceChildren(...this.buttons)
    part('rating').hidden = false
  }

  click(panel, event) {
    const box = panel.getBoundingClientRect()
    this.move(
      Math.floor(((event.clientX - box.left) / box.width) * study.width),
      Math.floor(((event.clientY - box.top) / box.height) * study.height),
    )
  }

  move(x, y) {
    const within = (value, size) => Math.min(Math.max(value, 0), size - 1)
    this.at = [within(x, study.width), within(y, study.height)]
    if (this.rating === 0) this.rating = null
    this.show()
  }

  rate(rating) {
    this.rating = rating
    if (rating === 0) this.at = null
    this.show()
    this.focus.focus()
  }

  show() {
    this.crosses.forEach((cross) => {
      cross.hidden = !this.at
      if (this.at) put(cross, this.at)
    })
    this.buttons.forEach((button, rating) => button.setAttribute('aria-pressed', rating === this.rating))
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
    if (ways[event.key]) {
      const size = event.shiftKey ? LEAP : event.repeat ? HELD : STEP
      const [x, y] = this.at ?? [Math.floor(study.width / 2), Math.floor(study.height / 2)]
      this.move(x + size * ways[event.key][0], y + size * ways[event.key][1])
      return true
    }
    if (!/^[0-5]$/.test(event.key)) return false
    this.rate(Number(event.key))
    return true
  }

  answer() {
    if (this.rating === null || (this.rating > 0 && !this.at)) return null
    const [x, y] = this.at ?? []
    return { left: this.trial.images[0], rating: this.rating, x, y }
  }

  feedback() {
    const [place] = this.trial.lesions
    if (!place) return this.at ? 'No: there is no lesion in this image.' : 'Right: there is no lesion.'
    this.panels.forEach((panel) => panel.append(ringAt(place)))
    if (!this.at) return 'There is a lesion: in the circle.'
    const found = Math.hypot(this.at[0] - place[0], this.at[1] - place[1]) <= study.radius
    return found ? 'Right: the lesion is in the circle.' : 'The lesion is elsewhere: in the circle.'
  }
}

// Two panels of an alternative lie one above the other or side by side, whichever is larger.
function layOut() {
  const [wide, high] = [window.innerWidth - 100, window.innerHeight - 178]
  const shape = study.width / study.height
  const above = Math.min(wide / 2, (high / study.panels) * shape)
  const beside = Math.min(wide / (2 * study.panels), high * shape)
  part('stage').classList.toggle('beside', beside > above)
}
window.addEventListener('resize', layOut)

let current = null

function confirm() {
  if (!current) return
  const { question, feedback, answered, resolve } = current
  if (answered) {
    current = null
    resolve()
    return
  }
  const answer = question.answer()
  if (!answer) {
    part('status').textContent = question.reason
    return
  }
  const seconds = watch.seconds()
  if (!feedback) {
    current = null
    resolve({ ...answer, seconds: seconds.toFixed(2) })
    return
  }
  current.answered = true
  part('status').textContent = question.feedback()
  part('confirm').textContent = 'Next (Enter)'
  ready()
}

// Shows a trial until it is answered, in practice until its feedback was read.
async function ask(trial, progress, feedback) {
  const question = trial.task === 'choose' ? new Choice(trial) : new Mark(trial)
  const stage = part('stage')
  part('question').textContent = PART[trial.task]
  part('progress').textContent = progress
  part('status').textContent = ''
  part('confirm').textContent = 'Confirm (Enter)'
  stage.className = trial.task
  layOut()
  show('trial')
  question.place(stage)
  await Promise.all([...stage.querySelectorAll('img')].map((image) => image.decode().catch(() => {})))
  // two frames later it has been painted
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
  const answered = new Promise((resolve) => { current = { question, feedback, resolve } })
  stage.dataset.trial = trial.trial
  watch.start()
  question.focus.focus()
  ready()
  return answered
}

document.addEventListener('keydown', (event) => {
  if (part('trial').hidden || !current || event.ctrlKey || event.altKey || event.metaKey) return
  if (event.key === 'Enter') {
    // a button that was reached by Tab does what it says
    if (event.target.closest('button')) return
    event.preventDefault()
    if (!event.repeat) confirm()
  } else if (!current.answered && current.question.key(event)) event.preventDefault()
})
part('confirm').addEventListener('click', confirm)

async function practise(task, answers) {
  const trials = study.practice.filter((each) => each.task === task)
  const number = study.tasks.indexOf(task) + 1
  const heading = study.tasks.length > 1 ? `Part ${number} of ${study.tasks.length}: ` : ''
  await message(`${heading}${PART[task]}`, [...HELP[task], `First ${trials.length} for practice, which are not counted.`], answers)
  for (const [index, trial] of trials.entries()) {
    await ask(trial, `Practice ${index + 1} of ${trials.length}`, true)
  }
  answers.practise(task)
  await message('That was the practice', ['From now on your answers count, and you are not told whether they were right.'], answers)
}

const told = (answers, total) => `${answers.rows.length} of ${total} are done.`

async function run(reader) {
  const answers = new Answers(reader)
  const total = study.trials.length
  const finished = () => answers.rows.length >= total
  window.addEventListener('beforeunload', (event) => {
    if (!answers.taken && (finished() || !answers.kept)) event.preventDefault()
  })
  if (answers.rows.length && !finished()) {
    await message('Welcome back', [told(answers, total)], answers, { download: true })
  }
  for (const task of study.tasks) {
    const blocks = blocksOf(task, reader).map((block) => block.filter(({ trial }) => !answers.has(trial)))
    if (blocks.some((block) => block.length) && !answers.practised.includes(task)) await practise(task, answers)
    for (const block of blocks.filter(({ length }) => length)) {
      for (const trial of block) {
        const answer = await ask(trial, `${answers.rows.length + 1} of ${total}`, false)
        answers.add({ trial: trial.trial, task, ...answer })
      }
      if (!finished()) {
        await message('Time for a break', [told(answers, total), 'Take as long as you like, days if you want: your answers are kept in this browser.'], answers, { download: true })
      }
    }
  }
  await message('Finished: thank you', [
    `All ${total} questions are answered.`,
    `Download the answers, and send the file <strong>answers-${reader}.tsv</strong> to whoever asked you.`,
  ], answers, { download: true, last: true })
}

function examples() {
  for (const number of study.examples) {
    const { images, lesions } = study.practice[number]
    const index = lesions.findIndex((place) => place !== null)
    const panels = panelsOf(images[index])
    panels.forEach((panel) => panel.append(ringAt(lesions[index])))
    panels[0].querySelector('img').alt = 'A lesion, in a circle'
    part('examples').append(element('li', {}, ...panels))
  }
}

examples()
part('many').textContent = String(study.trials.length)
const known = Answers.readers()
part('known').textContent = known.length ? ` (in this browser: ${known.join(', ')})` : ''
part('who').addEventListener('submit', (event) => {
  event.preventDefault()
  run(part('reader').value)
})
show('start')
