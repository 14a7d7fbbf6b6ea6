// Puts the page together: what comes from the process goes to the parts of the page that show it.
import { Chart } from './charts.js'
import { arrange, el, find, say, set } from './dom.js'
import { clock, latency, now, number, since, span } from './format.js'
import { Pools } from './pools.js'
import { problems } from './problems.js'
import { Sections, showGenerations } from './sections.js'
import { get, token } from './steer.js'
import { store } from './store.js'
import { Stream } from './stream.js'

const THEME = 'evener.theme'
const THEMES = { auto: 'Theme: auto', light: 'Theme: light', dark: 'Theme: dark' }
const SHAPES = { bad: '▲', warn: '◆', note: '○' }

const charts = [
  new Chart({ title: 'Requests', unit: 'a second', format: number, lines: [{ name: 'answered', color: 'line-1', of: sample => sample.requests_per_s }] }),
  new Chart({
    title: 'Errors', unit: 'a second', format: number,
    lines: [
      { name: '5xx', color: 'bad', of: sample => sample.errors_per_s },
      { name: 'of the edge', color: 'line-2', dash: [5, 2], of: sample => sample.edge_errors_per_s },
      { name: '4xx', color: 'line-3', dash: [2, 2], of: sample => sample.client_errors_per_s },
    ],
  }),
  new Chart({
    title: 'Latency', unit: 'to the head of the answer', format: latency, tick: value => value >= 1000 ? `${value / 1000} s` : `${Number(value.toFixed(1))} ms`, isLog: true,
    lines: [
      { name: 'p50', color: 'line-1', of: sample => sample.p50_ms },
      { name: 'p95', color: 'line-3', dash: [5, 2], of: sample => sample.p95_ms },
      { name: 'p99', color: 'line-2', of: sample => sample.p99_ms },
    ],
  }),
]
find('charts').append(...charts.map(chart => chart.root))

const pools = new Pools(find('pool-list'))
const sections = new Sections()
const filter = find('filter')
const shownProblems = new Map()
let changes = null

function show() {
  const { status } = store
  if (!status) return
  const words = filter.value.trim().toLowerCase()
  showFacts(status)
  showProblems()
  pools.update(status.pools, words)
  sections.update(store, words)
  if (changes !== `${status.generation} ${status.changes_refused}`) readGenerations(status)
}

function showCharts() {
  const marks = store.transitions.filter(one => !one.pool).map(one => ({ at: Date.parse(one.at), isBad: one.to === 'refused' }))
  charts.forEach(chart => chart.update(store.samples, marks))
}

const facts = new Map()

function showFacts(status) {
  const last = store.samples.at(-1)
  const fact = (name, value, level) => {
    if (!facts.has(name)) {
      const entry = el('div', {}, el('dt', {}, name), el('dd'))
      facts.set(name, entry)
      find('facts').append(entry)
    }
    say(facts.get(name).lastElementChild, value)
    set(facts.get(name), 'data-level', level)
  }
  fact('Requests', last ? `${number(last.requests_per_s)}/s` : '–')
  fact('Errors', last ? `${number(last.errors_per_s)}/s` : '–', last?.errors_per_s ? 'bad' : null)
  fact('p99', latency(status.last_minute?.p99_ms))
  fact('Open', number(last?.connections))
  fact('Generation', String(status.generation))
  fact('Up', status.started ? span((now() - Date.parse(status.started)) / 1000) : '–')
  say(find('place'), `${location.host} · ${status.version} · process ${status.process}`)
}

function showProblems() {
  const found = problems(store)
  const entries = found.map(problem => {
    const known = shownProblems.get(problem.id) ?? makeProblem(problem.id)
    set(known.root, 'data-level', problem.level)
    set(known.link, 'href', problem.href)
    say(known.shape, SHAPES[problem.level])
    say(known.link, problem.title)
    say(known.since, problem.since ? since(problem.since) : '')
    say(known.detail, problem.detail.split('\n').slice(0, 4).join('\n'))
    return known.root
  })
  const ids = new Set(found.map(problem => problem.id))
  for (const id of shownProblems.keys()) if (!ids.has(id)) shownProblems.delete(id)
  arrange(find('problem-list'), entries.length ? entries : [nothingWrong])
  showVerdict(found)
}

const nothingWrong = el('li', { 'data-level': 'good' }, el('span', { class: 'mark', 'aria-hidden': 'true' }, '●'), el('span', {}, 'Nothing is wrong that this page knows of.'))

function makeProblem(id) {
  const parts = { shape: el('span', { class: 'mark', 'aria-hidden': 'true' }), link: el('a'), since: el('span', { class: 'since' }), detail: el('p', { class: 'detail' }) }
  parts.link.addEventListener('click', () => pools.open(decodeURIComponent(parts.link.hash.slice(1))))
  parts.root = el('li', {}, parts.shape, el('div', {}, parts.link, ' ', parts.since, parts.detail))
  shownProblems.set(id, parts)
  return parts
}

let verdict = ''

/** The one thing to be seen at first: whether something is wrong, and since when. */
function showVerdict(found) {
  const grave = found.filter(problem => problem.level !== 'note')
  const level = grave[0]?.level ?? 'good'
  const began = grave.map(problem => problem.since).filter(Boolean)
  const many = grave.length === 1 ? '1 problem' : `${grave.length} problems`
  set(find('verdict'), 'data-level', level)
  say(find('verdict-text'), grave.length ? `${many}${began.length ? ` since ${clock(Math.min(...began))}` : ''}` : 'All is well')
  document.title = grave.length ? `(${grave.length}) Evener` : 'Evener'
  // Said to who does not see it, when it changes.
  const words = grave.length ? `${many}: ${grave[0].title}` : 'All is well'
  if (verdict && verdict !== words) say(find('said'), words)
  verdict = words
}

async function readGenerations(status) {
  changes = `${status.generation} ${status.changes_refused}`
  try {
    store.generations = await get('/v1/history')
    showGenerations(store.generations)
  } catch {
    // With the next change, or connection, it is tried again.
    changes = null
  }
}

const stream = new Stream({
  told(names) {
    show()
    if (names.has('sample')) showCharts()
  },
  state(text) {
    const stale = find('stale')
    stale.hidden = !text
    say(stale, text)
    set(document.body, 'data-stale', text !== '')
    if (text && !store.status) say(find('verdict-text'), 'Not connected')
  },
})

filter.addEventListener('input', show)
addEventListener('keydown', event => {
  const isTyping = event.target.matches('input, textarea') || find('dialog').open
  if (event.key === '/' && !isTyping) { event.preventDefault(); filter.focus() }
  if (event.key === 'Escape' && event.target === filter) { filter.value = ''; show() }
})

find('token').addEventListener('click', async () => {
  if (token.value()) token.forget()
  else if (await token.ask('Changes need a token of this process.') && !store.status) stream.connect()
})
token.show()

function setTheme(theme) {
  set(document.documentElement, 'data-theme', theme === 'auto' ? null : theme)
  say(find('theme'), THEMES[theme])
  localStorage.setItem(THEME, theme)
  showCharts()
}

find('theme').addEventListener('click', () => {
  const names = Object.keys(THEMES)
  setTheme(names[(names.indexOf(localStorage.getItem(THEME) ?? 'auto') + 1) % names.length])
})
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', showCharts)
setTheme(localStorage.getItem(THEME) in THEMES ? localStorage.getItem(THEME) : 'auto')
