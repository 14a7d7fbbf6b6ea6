// The tables of routes, splits, listeners, certificates, changes and configurations.
import { Table, el, find, say, set } from './dom.js'
import { ago, bytes, clock, latency, number, percent, span } from './format.js'
import { left } from './problems.js'
import { list } from './store.js'

const sum = counts => Object.values(counts ?? {}).reduce((all, count) => all + count, 0)
/** `5 timeout, 2 no_route`, the most frequent first. */
const causes = counts => Object.entries(counts ?? {}).filter(([, count]) => count).sort((a, b) => b[1] - a[1]).map(([name, count]) => `${number(count)} ${name}`).join(', ')
const numeric = (title, show) => ({ title, class: 'number', show })
const text = (title, show, name = 'text') => ({ title, class: name, show })

/** Sections that are no pools and no charts. */
export class Sections {
  constructor() {
    this.routes = new Table(find('route-table'), {
      caption: 'Routes by traffic of the last minute', key: route => route.name, empty: 'There is none.',
      columns: [
        text('Route', route => route.name || '(no route)', 'name'), text('To', route => route.to),
        numeric('Req/s', route => number(route.last_minute.per_s)), numeric('In flight', route => number(route.in_flight)),
        numeric('p50', route => latency(route.last_minute.p50_ms)), numeric('p95', route => latency(route.last_minute.p95_ms)), numeric('p99', route => latency(route.last_minute.p99_ms)),
        numeric('2xx', route => number(route.requests['2xx'])), numeric('3xx', route => number(route.requests['3xx'])), numeric('4xx', route => number(route.requests['4xx'])), numeric('5xx', route => number(route.requests['5xx'])),
        numeric('Out', route => bytes(route.bytes_out)), text('Errors by cause', route => causes(route.errors)),
      ],
    })
    this.splits = new Table(find('split-table'), {
      caption: 'Splits of routes over pools', key: split => split.route, empty: '',
      columns: [
        text('Route', split => split.route, 'name'),
        text('Shares', split => list(split.to).map(side => `${side.pool} ${percent(side.share_percent)}`).join(', ')),
        text('Canary', split => split.canary ? [`${split.canary.pool} is ${split.canary.phase}${split.canary.paused ? ', paused' : ''}`, split.canary.waits_for, split.canary.why].filter(Boolean).join(': ') : ''),
      ],
    })
    this.listeners = new Table(find('listener-table'), {
      caption: 'Listeners', key: listener => listener.name, empty: 'There is none.',
      columns: [
        text('Listener', listener => listener.name, 'name'), text('Serves', listener => listener.serves), text('On', listener => listener.bind.join(', ')),
        numeric('Open', listener => number(listener.open)), numeric('Accepted', listener => number(listener.accepted)), numeric('Turned away', listener => number(listener.refused)),
        numeric('Datagrams lost', listener => number(listener.dropped)),
        numeric('Handshakes', listener => listener.handshakes ? number(sum(listener.handshakes)) : '–'), numeric('Failed', listener => listener.handshakes ? number((listener.handshakes.failed ?? 0) + (listener.handshakes.timed_out ?? 0)) : '–'),
        text('Refused, by cause', listener => causes(listener.errors)),
      ],
    })
    this.certificates = new Table(find('certificate-table'), {
      caption: 'Certificates by expiry', key: certificate => `${certificate.listener} ${certificate.file} ${certificate.key}`, empty: 'No listener has one.',
      columns: [
        text('Names', certificate => (certificate.names ?? []).join(', '), 'name'), text('Listener', certificate => certificate.listener),
        text('Expires', certificate => left(certificate) > 0 ? `in ${span(left(certificate))}` : `${span(-left(certificate))} ago`), text('On', certificate => certificate.not_after),
        text('Key', certificate => certificate.key), text('File', certificate => certificate.file),
      ],
    })
    this.certificates.mark = (row, certificate) => set(row, 'data-level', left(certificate) < 7 * 86400 ? 'bad' : left(certificate) < 21 * 86400 ? 'warn' : null)
    this.changes = new Table(find('change-table'), {
      caption: 'Changes of health, drains, panics and configurations, the last first', key: change => change.number, empty: 'Nothing has changed since the process began.', most: 15,
      columns: [
        text('When', change => clock(Date.parse(change.at)), 'when'), text('What', change => change.endpoint ?? (change.pool ? 'the pool' : 'configuration'), 'name'), text('Pool', change => change.pool ?? ''),
        text('From', change => change.from), text('To', change => change.to, 'to'), text('Why', change => change.why.split('\n')[0], 'why'),
      ],
    })
    this.changes.mark = (row, change) => set(row, 'data-level', ['unfit', 'ejected', 'panic', 'refused'].includes(change.to) ? 'bad' : change.to === 'fit' ? 'good' : null)
  }

  update({ status, transitions }, filter) {
    const has = (...texts) => !filter || texts.some(one => one?.toLowerCase().includes(filter))
    const isPart = filter !== ''
    const rate = route => route.last_minute.per_s
    const unrouted = status.unrouted && sum(status.unrouted.requests) ? [status.unrouted] : []
    const routes = [...list(status.routes), ...unrouted]
    this.routes.update(routes.filter(route => has(route.name, route.to)).sort((a, b) => rate(b) - rate(a) || sum(b.requests) - sum(a.requests)), isPart)
    const splits = list(status.splits)
    find('splits').hidden = !splits.length
    this.splits.update(splits.filter(split => has(split.route, ...Object.keys(split.to))), isPart)
    this.listeners.update(list(status.listeners).filter(listener => has(listener.name, ...listener.bind)), isPart)
    const certificates = (status.certificates ?? []).filter(one => has(one.listener, one.file, ...(one.names ?? [])))
    this.certificates.update(certificates.sort((a, b) => left(a) - left(b)), isPart)
    this.changes.update(transitions.filter(one => has(one.pool, one.endpoint, one.from, one.to, one.why)).toReversed(), isPart)
  }
}

/** The configurations that were served, the last first, each with what it changed. */
export function showGenerations(generations) {
  const entries = generations.toReversed().map(generation => {
    const { number: count, began, origin, configuration, standing } = generation
    const lines = [...(generation.diff?.changes ?? []).flatMap(changeLines), ...(generation.files ?? []).map(file => ['~', file])]
    const back = configuration === count ? '' : ` · the configuration of ${configuration}`
    const head = el('h3', {}, `Generation ${count}`, el('span', { class: 'muted' }, ` ${clock(Date.parse(began))} · ${ago(Date.parse(began))} · by ${origin}${back} · ${standingWords(standing)}`))
    const diff = lines.map(([sign, line]) => el('li', { class: { '+': 'added', '-': 'removed' }[sign] ?? 'changed' }, `${sign} ${line}`))
    return el('article', { class: 'generation' }, head, el('ul', { class: 'diff' }, ...diff))
  })
  const container = find('generation-list')
  if (entries.length) container.replaceChildren(...entries)
  else say(container, 'They are not known.')
}

const standingWords = standing => typeof standing === 'string' ? standing.replaceAll('_', ' ') : `taken back: ${standing.failed}`

/** The lines of a change, each with its sign. */
function changeLines({ kind, section, name, details }) {
  const item = name ? `${section}.${name}` : section
  if (kind !== 'changed' || !details.length) return [[{ added: '+', removed: '-' }[kind] ?? '~', item]]
  return details.map(detail => ['~', `${item}${detail.key ? `: ${detail.key}` : ''}: ${detailWords(detail)}`])
}

function detailWords(detail) {
  const list = (sign, items) => (items ?? []).map(item => `${sign} ${item}`)
  switch (detail.what) {
    case 'value': return `${detail.old ?? 'nothing'} → ${detail.new ?? 'nothing'}`
    case 'members': return [...list('+', detail.added), ...list('-', detail.removed)].join(', ')
    case 'order': return `order ${detail.old.join(', ')} → ${detail.new.join(', ')}`
    default: return 'changed'
  }
}
