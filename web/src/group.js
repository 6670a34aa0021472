// The group report: a table to sort and filter, ratings of scans, and the model of the thumbnails.
// Of a large cohort the page holds the first scans as elements and the others as JSON: they become
// elements when they are looked at.
import DataTable from 'datatables.net-dt'
import 'datatables.net-dt/css/dataTables.dataTables.css'

const RATINGS = ['pass', 'review', 'fail']
// One for each folder: the same scan may be rated in several outputs.
const STORE = `fusionprep-ratings:${location.pathname}`
const OPTIONAL = ['task', 'acquisition']
const CARDS_A_PAGE = 60

const part = (name) => document.getElementById(name)
const oneLine = (text) => text.replace(/\s+/g, ' ').trim()

// What this browser was told, by scan; kept in memory alone where there is no storage.
class Ratings {
  constructor(given) {
    this.given = given
    this.own = {}
    this.kept = true
    try {
      this.own = JSON.parse(localStorage.getItem(STORE)) ?? {}
    } catch {
      this.kept = false
    }
  }

  get(scan) {
    return this.own[scan] ?? this.given[scan] ?? { rating: '', note: '' }
  }

  set(scan, value) {
    this.own[scan] = value
    this.save()
  }

  forget() {
    this.own = {}
    this.save()
  }

  save() {
    try {
      localStorage.setItem(STORE, JSON.stringify(this.own))
    } catch {
      this.kept = false
    }
  }
}

function tsv(columns, scans, ratings) {
  const rows = scans
    .map((scan) => [scan.split('\t'), ratings.get(scan)])
    .filter(([, { rating, note }]) => rating || note)
  const kept = columns.map((name, i) => !OPTIONAL.includes(name) || rows.some(([labels]) => labels[i] !== 'n/a'))
  const lines = rows.map(([labels, { rating, note }]) => [
    ...labels.filter((_, i) => kept[i]),
    rating || 'n/a',
    oneLine(note) || 'n/a',
  ])
  const head = [...columns.filter((_, i) => kept[i]), 'rating', 'note']
  return [head, ...lines].map((line) => `${line.join('\t')}\n`).join('')
}

function download(text) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/tab-separated-values' }))
  link.download = 'ratings.tsv'
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}

// Title and file name part of each thumbnail of a card, by index of the model.
function thumbnails(models) {
  return new Map(
    models.split('/').filter(Boolean).map((item) => {
      const cut = item.indexOf('=')
      return [item.slice(0, cut), item.slice(cut + 1)]
    }),
  )
}

function showModel({ element, models, label }, index, title) {
  const image = element.querySelector('img')
  const rest = thumbnails(models).get(index)
  if (!image) return
  image.hidden = rest === undefined
  element.querySelector('.none')?.remove()
  if (rest === undefined) {
    const none = document.createElement('div')
    none.className = 'none'
    none.textContent = `no thumbnail of ${title}`
    image.after(none)
    return
  }
  const [, before, after] = /^(.*_desc-thumb)[^_]*(_[^_]*)$/.exec(image.getAttribute('src'))
  const address = before + encodeURIComponent(rest) + after
  if (image.getAttribute('src') !== address) image.src = address
  image.alt = `${title} fusion of ${label}, axial, coronal and sagittal slice`
}

// Lets a card be rated; returns what shows its rating again.
function controls({ element, scan, label }, ratings, changed) {
  const { rating, note } = ratings.get(scan)
  const select = document.createElement('select')
  select.setAttribute('aria-label', `Rating of ${label}`)
  select.append(...[['', 'not rated'], ...RATINGS.map((name) => [name, name])].map(
    ([value, text]) => new Option(text, value, value === rating, value === rating),
  ))
  const input = document.createElement('input')
  input.setAttribute('aria-label', `Note on ${label}`)
  input.placeholder = 'note'
  input.value = note
  const keep = () => {
    ratings.set(scan, { rating: select.value, note: oneLine(input.value) })
    changed()
  }
  select.addEventListener('change', keep)
  input.addEventListener('input', keep)
  const row = document.createElement('div')
  row.className = 'rate'
  row.append(select, input)
  element.querySelector('.given')?.remove()
  element.append(row)
  return () => {
    const now = ratings.get(scan)
    select.value = now.rating
    input.value = now.note
  }
}

const plain = (html) => html.replace(/<[^>]*>/g, '').trim()
const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;')

// What a row holds: HTML of its cells, and what some are sorted by in its place.
function scanRows(body, more) {
  const shown = [...body.rows].map((row) => ({
    flag: row.className,
    index: row.dataset.index,
    cells: [...row.cells].map((cell) => cell.innerHTML),
    order: Object.fromEntries([...row.cells].filter((cell) => cell.dataset.order)
      .map((cell) => [cell.cellIndex, Number(cell.dataset.order)])),
  }))
  const [verdict, outliers] = Object.keys(shown[0].order)
  return shown.concat(more.map(([flag, index, worst, many, cells]) => (
    { flag, index: String(index), cells, order: { [verdict]: worst, [outliers]: many } })))
}

// A number that a cell shows; null, which sorts below all, for a dash.
function shownNumber(html) {
  const number = Number.parseFloat(html)
  return Number.isNaN(number) ? null : number
}

function columnsOf(row) {
  const inOrder = (record, i) => record.order[i] ?? shownNumber(record.cells[i])
  return [...row.cells].map((cell, i) => {
    const numeric = cell.classList.contains('number') || 'order' in cell.dataset
    return {
      className: cell.className,
      type: numeric ? 'num' : 'html',
      data: (record, purpose) => {
        if (numeric && (purpose === 'sort' || purpose === 'type')) return inOrder(record, i)
        return purpose === 'filter' ? plain(record.cells[i]) : record.cells[i]
      },
    }
  })
}

function scanTable(more) {
  const element = part('scan-table')
  if (!element) return null
  const [body] = element.tBodies
  const rows = scanRows(body, more)
  const columns = columnsOf(body.rows[0])
  body.replaceChildren()
  const table = new DataTable(element, {
    data: rows,
    columns,
    createdRow: (row, { flag, index }) => {
      row.className = flag
      row.dataset.index = index
    },
    pageLength: 25,
    lengthMenu: [10, 25, 50, 100, { label: 'all', value: -1 }],
    order: [],
    autoWidth: false,
    language: { search: 'Search', lengthMenu: '_MENU_ scans a page', emptyTable: 'no scans', info: '_START_ to _END_ of _TOTAL_ scans', infoFiltered: '(of _MAX_)', zeroRecords: 'no scan matches' },
  })
  const verdict = part('scan-verdict')
  const outliers = part('scan-outliers')
  const column = (name) => [...element.tHead.rows[0].cells].findIndex((cell) => cell.textContent.trim() === name)
  const at = { verdict: column('Verdict'), rating: column('Rating'), outliers: column('Outliers') }
  table.search.fixed('scans', (_words, { cells }) =>
    (!verdict.value || plain(cells[at.verdict]) === verdict.value)
    && (!outliers.checked || plain(cells[at.outliers]) !== ''))
  for (const tool of [verdict, outliers]) tool.addEventListener('change', () => table.draw())
  part('scan-tools').hidden = false
  const places = new Map(rows.map(({ index }, place) => [index, place]))
  return (index, rating) => {
    const place = places.get(index)
    const html = escaped(rating)
    if (place === undefined || rows[place].cells[at.rating] === html) return
    rows[place].cells[at.rating] = html
    table.row(place).invalidate()
  }
}

function scanCards(more) {
  const shown = [...document.querySelectorAll('.sheet .card')].map((element) => {
    const { verdict, scan, label, models = '', rating, note } = element.dataset
    return { element, index: element.id.slice('scan-'.length), verdict, scan, label, models, rating, note }
  })
  return shown.concat(more.map(([index, verdict, scan, label, models, rating, note, html]) => (
    { html, index: String(index), verdict, scan, label, models, rating: rating ?? undefined, note })))
}

function cardElement({ index, verdict, html }) {
  const element = document.createElement('li')
  element.className = `card ${RATINGS.includes(verdict) ? verdict : 'none'}`
  element.id = `scan-${index}`
  element.innerHTML = html
  return element
}

// Tab then leads on from a card, also where what had the focus is gone or can no longer be used.
function focusCard(element) {
  if (!element) return
  element.tabIndex = -1
  element.focus()
}

// Shows some of the cards at a time; returns what shows the first of others, or a certain one.
function pages(list) {
  let cards = []
  let first = 0
  const [back, on, range] = ['sheet-back', 'sheet-on', 'sheet-range'].map(part)
  const show = (prepare) => {
    const now = cards.slice(first, first + CARDS_A_PAGE)
    now.forEach(prepare)
    list.replaceChildren(...now.map(({ element }) => element))
    back.disabled = first === 0
    on.disabled = first + CARDS_A_PAGE >= cards.length
    range.textContent = cards.length ? `${first + 1} to ${first + now.length} of ${cards.length} scans` : 'no scans'
    part('sheet-pages').hidden = back.disabled && on.disabled
  }
  return {
    show,
    take: (others, prepare) => {
      cards = others
      first = 0
      show(prepare)
    },
    turn: (pages, prepare) => {
      first += pages * CARDS_A_PAGE
      show(prepare)
      part('sheet').scrollIntoView()
      focusCard(list.firstElementChild)
    },
    find: (index, prepare) => {
      const place = cards.findIndex((card) => card.index === index)
      if (place >= 0 && (place < first || place >= first + CARDS_A_PAGE)) {
        first = place - (place % CARDS_A_PAGE)
        show(prepare)
      }
      return place >= 0
    },
  }
}

function contactSheet(tellTable, more) {
  const cards = scanCards(more)
  if (!cards.length) return
  const given = Object.fromEntries(cards.filter(({ rating }) => rating !== undefined).map(
    ({ scan, rating, note }) => [scan, { rating, note }],
  ))
  const ratings = new Ratings(given)
  const told = ({ rating, note }) => (rating ? `rated ${rating}${note ? `: ${note}` : ''}` : note && `note: ${note}`)
  const count = () => {
    const rated = cards.filter(({ scan }) => ratings.get(scan).rating).length
    const kept = ratings.kept ? '' : '; this browser keeps nothing, so download before the page is closed'
    part('rated-count').textContent = `${rated} of ${cards.length} rated${kept}`
  }
  const tell = ({ index, scan }) => tellTable?.(index, told(ratings.get(scan)))
  const model = part('sheet-model')
  const prepare = (card) => {
    card.element ??= cardElement(card)
    card.refresh ??= controls(card, ratings, () => {
      tell(card)
      count()
    })
    if (model) showModel(card, model.value, model.selectedOptions[0].text)
  }
  const paged = pages(document.querySelector('.sheet'))
  const [show, find] = ['sheet-show', 'sheet-find'].map(part)
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/)
    paged.take(cards.filter(({ scan, verdict, label }) => {
      const { rating } = ratings.get(scan)
      const wanted = { '': true, unrated: !rating, rated: Boolean(rating) }
      return (wanted[show.value] ?? verdict === show.value) && words.every((word) => label.toLowerCase().includes(word))
    }), prepare)
  }
  show.addEventListener('change', filter)
  find.addEventListener('input', filter)
  model?.addEventListener('change', () => paged.show(prepare))
  part('sheet-back').addEventListener('click', () => paged.turn(-1, prepare))
  part('sheet-on').addEventListener('click', () => paged.turn(1, prepare))
  // before the browser looks for what a link leads to
  const lead = (hash) => {
    const [, index] = /^#scan-(\d+)$/.exec(hash) ?? []
    if (index === undefined || paged.find(index, prepare)) return
    show.value = find.value = ''
    filter()
    paged.find(index, prepare)
  }
  document.addEventListener('click', ({ target }) => {
    const hash = target.closest('a')?.getAttribute('href') ?? ''
    lead(hash)
    // after the browser has gone there
    if (hash.startsWith('#scan-')) setTimeout(() => focusCard(part(hash.slice(1))))
  })
  part('download').addEventListener('click', () => {
    const order = [...cards].sort((a, b) => a.index - b.index)
    download(tsv(part('sheet-tools').dataset.columns.split('\t'), order.map(({ scan }) => scan), ratings))
  })
  part('forget').addEventListener('click', () => {
    ratings.forget()
    cards.forEach(({ refresh }) => refresh?.())
    cards.forEach(tell)
    count()
  })
  cards.forEach(tell)
  count()
  filter()
  lead(location.hash)
  part('sheet-tools').hidden = false
  part('rating-help').hidden = false
}

// Rows of all participants are added when their list is opened.
function participantRows(more) {
  const [body] = part('participants').tBodies
  body.closest('details').addEventListener('toggle', () => {
    body.insertAdjacentHTML('beforeend', more.splice(0).map((row) => `<tr>${row}</tr>`).join(''))
  }, { once: true })
}

const more = JSON.parse(part('more')?.textContent ?? '{"rows":[],"cards":[],"participants":[]}')
contactSheet(scanTable(more.rows), more.cards)
participantRows(more.participants)
