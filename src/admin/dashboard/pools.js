// Pools and their endpoints. Of a long table only the rows are made that can be seen, and of a row only cells change that differ.
import { arrange, el, say, set } from './dom.js'
import { latency, number, percent, since } from './format.js'
import { anchor, why } from './problems.js'
import { drain, readEndpoint, tell, undrain, weigh } from './steer.js'
import { list } from './store.js'

/** The state in words; what begins each is its shape. */
const STATES = { fit: '● fit', checking: '◌ checking', unfit: '▲ unfit', ejected: '◆ ejected', draining: '◐ draining', drained: '○ drained', trial: '◇ on trial' }
const RANKS = { unfit: 0, ejected: 0, checking: 1, draining: 2, drained: 2, trial: 3, fit: 4 }
const IN_DRAIN = ['draining', 'drained']
/** In pixels, as in the style sheet. */
const ROW_HEIGHT = 34
/** Shorter tables have all their rows. */
const SHORT = 40
const MARGIN_ROWS = 8
/** With more endpoints in all, pools are closed at first where nothing is wrong. */
const MANY = 60

const kind = endpoint => endpoint.state === 'fit' && endpoint.on_trial ? 'trial' : endpoint.state
const minute = (endpoint, field) => endpoint.last_minute?.[field]

const COLUMNS = [
  { title: 'State', key: endpoint => RANKS[kind(endpoint)], class: 'state' },
  { title: 'Endpoint', key: endpoint => endpoint.address, class: 'address' },
  { title: 'In flight', key: endpoint => endpoint.in_flight, show: endpoint => number(endpoint.in_flight) },
  { title: 'Req/s', key: endpoint => minute(endpoint, 'per_s'), show: endpoint => number(minute(endpoint, 'per_s')) },
  { title: 'p50', key: endpoint => minute(endpoint, 'p50_ms'), show: endpoint => latency(minute(endpoint, 'p50_ms')) },
  { title: 'p95', key: endpoint => minute(endpoint, 'p95_ms'), show: endpoint => latency(minute(endpoint, 'p95_ms')) },
  { title: 'p99', key: endpoint => minute(endpoint, 'p99_ms'), show: endpoint => latency(minute(endpoint, 'p99_ms')) },
  { title: 'Picks', key: endpoint => endpoint.picks_percent, show: endpoint => percent(endpoint.picks_percent) },
  { title: 'Weight', key: endpoint => endpoint.weight, show: endpoint => String(endpoint.weight) },
]
const FIRST_NUMBER = 2

/** All pools of the page. */
export class Pools {
  constructor(container) {
    Object.assign(this, { container, views: new Map() })
    let isDue = false
    const look = () => {
      if (isDue) return
      isDue = true
      requestAnimationFrame(() => { isDue = false; for (const view of this.views.values()) view.paint() })
    }
    addEventListener('scroll', look, { passive: true })
    addEventListener('resize', look, { passive: true })
  }

  update(pools, filter) {
    const all = list(pools)
    const endpoints = all.reduce((sum, pool) => sum + Object.keys(pool.endpoints).length, 0)
    const shown = []
    for (const pool of all) {
      if (!this.views.has(pool.name)) this.views.set(pool.name, new PoolView(pool.name))
      const view = this.views.get(pool.name)
      if (view.update(pool, filter, endpoints > MANY)) shown.push(view.root)
    }
    for (const name of this.views.keys()) if (!pools[name]) this.views.delete(name)
    arrange(this.container, shown)
    for (const view of this.views.values()) view.paint()
  }

  /** Opens a pool and shows it. */
  open(id) {
    for (const view of this.views.values()) if (view.root.id === id) view.toggle(true)
  }
}

class PoolView {
  constructor(name) {
    Object.assign(this, { name, rows: new Map(), order: [], sort: { column: 0, isDown: false }, isOpen: null, signature: '' })
    this.toggleButton = el('button', { type: 'button', class: 'fold', onclick: () => this.toggle(!this.isShown) }, el('span', { class: 'mark', 'aria-hidden': 'true' }), name)
    this.facts = el('p', { class: 'pool-facts' })
    this.bar = el('div', { class: 'strip', 'aria-hidden': 'true' })
    this.heads = COLUMNS.map((column, index) => this.head(column, index))
    this.body = el('tbody')
    this.above = el('tr', { 'aria-hidden': 'true', class: 'space' }, el('td', { colspan: COLUMNS.length + 2 }))
    this.below = el('tr', { 'aria-hidden': 'true', class: 'space' }, el('td', { colspan: COLUMNS.length + 2 }))
    const last = [el('th', { scope: 'col', class: 'why' }, 'Why, and since when'), el('th', { scope: 'col', class: 'acts' }, 'Change')]
    this.table = el('table', { class: 'endpoints' }, el('caption', { class: 'hidden' }, `Endpoints of pool ${name}; figures are of the last minute`), el('thead', {}, el('tr', {}, ...this.heads, ...last)), this.body)
    this.scroll = el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': `Endpoints of pool ${name}` }, this.table)
    this.root = el('section', { class: 'pool', id: anchor(name), 'aria-label': `Pool ${name}` }, el('div', { class: 'pool-head' }, el('h3', {}, this.toggleButton), this.facts, this.bar), this.scroll)
  }

  head(column, index) {
    const sortBy = () => {
      this.sort = { column: index, isDown: this.sort.column === index ? !this.sort.isDown : index >= FIRST_NUMBER }
      this.arrangeEndpoints(true)
      this.paint()
    }
    return el('th', { scope: 'col', class: column.class ?? 'number' }, el('button', { type: 'button', class: 'sort', onclick: sortBy }, column.title))
  }

  toggle(isOpen) {
    this.isOpen = isOpen
    this.show()
    this.paint()
  }

  get isShown() {
    return !this.scroll.hidden
  }

  show() {
    const isOpen = this.isOpen ?? (this.hasTrouble || this.isFiltered || !this.isOneOfMany)
    this.scroll.hidden = !isOpen
    set(this.toggleButton, 'aria-expanded', String(isOpen))
  }

  /** Takes what is known by now; returns whether the pool is shown. */
  update(pool, filter, isOneOfMany) {
    this.pool = pool
    const named = this.name.toLowerCase().includes(filter)
    const fits = endpoint => named || [endpoint.address, kind(endpoint), endpoint.reason, endpoint.zone].some(text => text?.toLowerCase().includes(filter))
    this.endpoints = filter ? list(pool.endpoints).filter(fits) : list(pool.endpoints)
    Object.assign(this, { isOneOfMany, isFiltered: filter !== '', counts: count(list(pool.endpoints)) })
    this.hasTrouble = pool.panic || Boolean(this.counts.unfit || this.counts.ejected)
    this.tellFacts()
    this.show()
    this.arrangeEndpoints(false)
    return named || this.endpoints.length > 0
  }

  tellFacts() {
    const { pool, counts } = this
    const all = Object.keys(pool.endpoints).length
    const others = Object.entries(counts).filter(([state]) => state !== 'fit').map(([state, many]) => `${many} ${state}`)
    const words = [`${counts.fit ?? 0} of ${all} fit`, ...others, pool.panic ? 'PANIC' : '', `${number(minute(pool, 'per_s'))} req/s`, `${pool.in_flight} in flight`,
      pool.waiting ? `${pool.waiting} wait` : '', `p50 ${latency(minute(pool, 'p50_ms'))}`, `p99 ${latency(minute(pool, 'p99_ms'))}`, pool.balance]
    say(this.facts, words.filter(Boolean).join(' · '))
    set(this.root, 'data-level', pool.panic || (all && !pool.fit) ? 'bad' : this.hasTrouble ? 'warn' : 'good')
    const states = Object.keys(RANKS).filter(state => counts[state])
    arrange(this.bar, states.map(state => this.part(state, counts[state])))
  }

  part(state, many) {
    this.parts ??= {}
    const part = this.parts[state] ??= el('i', { class: `part ${state}` })
    if (part.style.flexGrow !== String(many)) part.style.flexGrow = many
    return part
  }

  /** Puts the endpoints in their order: those that do not serve first. While somebody is at the table, nothing moves by itself. */
  arrangeEndpoints(isWanted) {
    const { column, isDown } = this.sort
    const isBusy = this.scroll.matches(':hover, :focus-within')
    const signature = `${column} ${isDown} ${this.endpoints.map(endpoint => column ? endpoint.address : endpoint.address + kind(endpoint)).join()}`
    const mayMove = isWanted || (column >= FIRST_NUMBER && !isBusy)
    if (!mayMove && signature === this.signature) return
    this.signature = signature
    const key = COLUMNS[column].key
    const sign = isDown ? -1 : 1
    const compare = (a, b) => { const [x, y] = [key(a) ?? -1, key(b) ?? -1]; return x < y ? -sign : x > y ? sign : 0 }
    this.order = [...this.endpoints].sort(compare).map(endpoint => endpoint.address)
    this.heads.forEach((head, index) => set(head, 'aria-sort', index === column ? (isDown ? 'descending' : 'ascending') : null))
  }

  /** Makes the rows that can be seen, and has them say what is so by now. */
  paint() {
    if (!this.isShown || !this.pool) return
    const [from, to] = this.visible()
    const rows = new Map()
    for (const address of this.order.slice(from, to)) {
      const endpoint = this.pool.endpoints[address]
      if (!endpoint) continue
      const row = this.rows.get(address) ?? new Row(this, address)
      row.update(endpoint)
      rows.set(address, row)
    }
    this.rows = rows
    const isLong = this.order.length > SHORT
    set(this.table, 'aria-rowcount', isLong ? this.order.length + 1 : null)
    this.order.slice(from, to).forEach((address, index) => set(rows.get(address)?.root ?? this.above, 'aria-rowindex', isLong ? from + index + 2 : null))
    setHeight(this.above, from * ROW_HEIGHT)
    setHeight(this.below, (this.order.length - to) * ROW_HEIGHT)
    const seen = [...rows.values()].map(row => row.root)
    arrange(this.body, isLong ? [this.above, ...seen, this.below] : seen)
  }

  /** Which rows are, or nearly are, on the screen. */
  visible() {
    if (this.order.length <= SHORT) return [0, this.order.length]
    const top = this.body.getBoundingClientRect().top
    const from = Math.floor(-top / ROW_HEIGHT) - MARGIN_ROWS
    const to = Math.ceil((innerHeight - top) / ROW_HEIGHT) + MARGIN_ROWS
    const within = row => Math.max(0, Math.min(this.order.length, row))
    return [within(from), within(to)]
  }
}

/** An endpoint's row. */
class Row {
  constructor(view, address) {
    const pool = view.name
    const current = () => view.pool.endpoints[address]
    this.state = el('td', { class: 'state' })
    this.name = el('button', { type: 'button', class: 'link', title: address, onclick: () => details(pool, address) }, address)
    this.tags = el('span', { class: 'muted tags' })
    this.cells = COLUMNS.slice(FIRST_NUMBER).map(() => el('td', { class: 'number' }))
    this.why = el('td', { class: 'why' })
    this.drain = el('button', { type: 'button', onclick: () => IN_DRAIN.includes(current().state) ? undrain(pool, current()) : drain(pool, current()) })
    this.weigh = el('button', { type: 'button', 'aria-label': `Weight of ${address}`, onclick: () => weigh(pool, current()) }, 'Weight')
    this.root = el('tr', {}, this.state, el('th', { scope: 'row', class: 'address' }, this.name, this.tags), ...this.cells, this.why, el('td', { class: 'acts' }, this.drain, this.weigh))
    this.address = address
  }

  update(endpoint) {
    const state = kind(endpoint)
    say(this.state, STATES[state])
    set(this.root, 'data-state', state)
    say(this.tags, [endpoint.zone, endpoint.backup ? 'backup' : ''].filter(Boolean).join(' '))
    COLUMNS.slice(FIRST_NUMBER).forEach((column, index) => say(this.cells[index], column.show(endpoint)))
    const began = state === 'fit' ? NaN : Date.parse(endpoint.since)
    const words = [why(endpoint), Number.isFinite(began) ? since(began) : ''].filter(Boolean).join(' · ')
    say(this.why, words)
    set(this.why, 'title', words || null)
    const isOut = IN_DRAIN.includes(endpoint.state)
    say(this.drain, isOut ? 'Take in' : 'Drain')
    set(this.drain, 'aria-label', `${isOut ? 'Take in' : 'Drain'} ${this.address}`)
  }
}

function setHeight(row, height) {
  const value = `${Math.max(0, height)}px`
  if (row.firstElementChild.style.height !== value) row.firstElementChild.style.height = value
}

function count(endpoints) {
  const counts = {}
  for (const endpoint of endpoints) counts[kind(endpoint)] = (counts[kind(endpoint)] ?? 0) + 1
  return counts
}

/** All that is known of an endpoint, with its last probes. */
async function details(pool, address) {
  const content = el('div', {}, el('p', {}, 'It is asked for.'))
  tell(`${address} of pool ${pool}`, content)
  try {
    const endpoint = await readEndpoint(pool, address)
    const plain = Object.entries(endpoint).filter(([, value]) => value !== null && typeof value !== 'object')
    const facts = el('dl', { class: 'details' }, ...plain.flatMap(([name, value]) => [el('dt', {}, name.replaceAll('_', ' ')), el('dd', {}, String(value))]))
    const probe = one => el('li', { class: one.passed ? 'good' : 'bad' }, `${one.passed ? '● passed' : '▲ failed'} ${one.at}: ${one.reason} (${latency(one.took_ms)})`)
    const probes = (endpoint.probes ?? []).toReversed().map(probe)
    content.replaceChildren(facts, el('h3', {}, 'Probes, the last first'), probes.length ? el('ul', { class: 'probes' }, ...probes) : el('p', {}, 'There were none.'))
  } catch (error) {
    content.replaceChildren(el('p', {}, error.message))
  }
}
