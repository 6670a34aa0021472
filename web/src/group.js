// The group report: a table to sort and filter, ratings of scans, and the model of the thumbnails.
import DataTable from 'datatables.net-dt'
import 'datatables.net-dt/css/dataTables.dataTables.css'

const RATINGS = ['pass', 'review', 'fail']
// One for each folder: the same scan may be rated in several outputs.
const STORE = `fusionprep-ratings:${location.pathname}`
const OPTIONAL = ['task', 'acquisition']

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
function thumbnails(card) {
  return new Map(
    (card.dataset.models ?? '').split('/').filter(Boolean).map((item) => {
      const cut = item.indexOf('=')
      return [item.slice(0, cut), item.slice(cut + 1)]
    }),
  )
}

function showModel(cards, index, title) {
  for (const card of cards) {
    const image = card.querySelector('img')
    const rest = thumbnails(card).get(index)
    if (!image) continue
    image.hidden = rest === undefined
    card.querySelector('.none')?.remove()
    if (rest === undefined) {
      const none = document.createElement('div')
      none.className = 'none'
      none.textContent = `no thumbnail of ${title}`
      image.after(none)
      continue
    }
    const [, before, after] = /^(.*_desc-thumb)[^_]*(_[^_]*)$/.exec(image.getAttribute('src'))
    const address = before + encodeURIComponent(rest) + after
    if (image.getAttribute('src') !== address) image.src = address
    image.alt = `${title} fusion of ${card.dataset.label}, axial, coronal and sagittal slice`
  }
}

function controls(card, ratings, changed) {
  const { rating, note } = ratings.get(card.dataset.scan)
  const select = document.createElement('select')
  select.setAttribute('aria-label', `Rating of ${card.dataset.label}`)
  select.append(...[['', 'not rated'], ...RATINGS.map((name) => [name, name])].map(
    ([value, text]) => new Option(text, value, value === rating, value === rating),
  ))
  const input = document.createElement('input')
  input.setAttribute('aria-label', `Note on ${card.dataset.label}`)
  input.placeholder = 'note'
  input.value = note
  const keep = () => {
    ratings.set(card.dataset.scan, { rating: select.value, note: oneLine(input.value) })
    changed(card)
  }
  select.addEventListener('change', keep)
  input.addEventListener('input', keep)
  const row = document.createElement('div')
  row.className = 'rate'
  row.append(select, input)
  card.querySelector('.given')?.remove()
  card.append(row)
  return () => {
    const now = ratings.get(card.dataset.scan)
    select.value = now.rating
    input.value = now.note
  }
}

function scanTable() {
  const element = part('scan-table')
  if (!element) return null
  const table = new DataTable(element, {
    pageLength: 25,
    lengthMenu: [10, 25, 50, 100, { label: 'all', value: -1 }],
    order: [],
    autoWidth: false,
    language: { search: 'Search', lengthMenu: '_MENU_ scans a page', emptyTable: 'no scans', info: '_START_ to _END_ of _TOTAL_ scans', infoFiltered: '(of _MAX_)', zeroRecords: 'no scan matches' },
  })
  const verdict = part('scan-verdict')
  const outliers = part('scan-outliers')
  const column = (name) => [...element.tHead.rows[0].cells].findIndex((cell) => cell.textContent.trim() === name)
  const at = { verdict: column('Verdict'), outliers: column('Outliers') }
  const text = (row, i) => table.cell(row, i).node().textContent.trim()
  table.search.fixed('scans', (_words, _data, row) =>
    (!verdict.value || text(row, at.verdict) === verdict.value)
    && (!outliers.checked || text(row, at.outliers) !== ''))
  for (const tool of [verdict, outliers]) tool.addEventListener('change', () => table.draw())
  part('scan-tools').hidden = false
  return table
}

function contactSheet(table) {
  const cards = [...document.querySelectorAll('.sheet .card')]
  if (!cards.length) return
  const given = Object.fromEntries(cards.filter((card) => 'rating' in card.dataset).map((card) => [
    card.dataset.scan, { rating: card.dataset.rating, note: card.dataset.note },
  ]))
  const ratings = new Ratings(given)
  const rows = new Map((table?.rows().nodes().toArray() ?? []).map((row) => [`scan-${row.dataset.index}`, row]))
  const told = ({ rating, note }) => (rating ? `rated ${rating}${note ? `: ${note}` : ''}` : note && `note: ${note}`)
  const count = () => {
    const rated = cards.filter((card) => ratings.get(card.dataset.scan).rating).length
    const kept = ratings.kept ? '' : '; this browser keeps nothing, so download before the page is closed'
    part('rated-count').textContent = `${rated} of ${cards.length} rated${kept}`
  }
  const tell = (card) => {
    const row = rows.get(card.id)
    if (row) {
      const cell = row.querySelector('.rating')
      if (cell.textContent.trim() !== told(ratings.get(card.dataset.scan))) {
        table.cell(cell).data('')
        cell.textContent = told(ratings.get(card.dataset.scan))
        table.cell(cell).invalidate('dom')
      }
    }
  }
  const refresh = cards.map((card) => controls(card, ratings, (changed) => {
    tell(changed)
    count()
  }))
  const show = part('sheet-show')
  const filter = () => {
    for (const card of cards) {
      const { rating } = ratings.get(card.dataset.scan)
      const wanted = { '': true, unrated: !rating, rated: Boolean(rating) }
      card.hidden = !(wanted[show.value] ?? card.dataset.verdict === show.value)
    }
  }
  show.addEventListener('change', filter)
  const model = part('sheet-model')
  const choose = () => showModel(cards, model.value, model.selectedOptions[0].text)
  model?.addEventListener('change', choose)
  part('download').addEventListener('click', () => {
    const order = [...cards].sort((a, b) => a.id.slice(5) - b.id.slice(5))
    download(tsv(part('sheet-tools').dataset.columns.split('\t'), order.map((card) => card.dataset.scan), ratings))
  })
  part('forget').addEventListener('click', () => {
    ratings.forget()
    refresh.forEach((again) => again())
    cards.forEach(tell)
    count()
  })
  cards.forEach(tell)
  count()
  if (model) choose()
  part('sheet-tools').hidden = false
  part('rating-help').hidden = false
}

contactSheet(scanTable())
