// What is wrong, and since when: worked out of what is known, the worst first.
import { list } from './store.js'
import { now, number, percent, span } from './format.js'

const RANKS = { bad: 0, warn: 1, note: 2 }
/** More endpoints of a pool than this are told together. */
const APART = 4
const SOON = 21 * 86400
const VERY_SOON = 7 * 86400
/** What fails of the last ten seconds is a problem from so many percent on. */
const ERROR_PERCENT = 1

/** `{ id, level, title, detail, since, href }`; times are milliseconds, or null where nobody knows. */
export function problems({ status, samples, transitions }) {
  if (!status) return []
  const found = [
    ...ofProcess(status), ...ofTraffic(samples), ...ofConfiguration(transitions),
    ...list(status.pools).flatMap(pool => ofPool(pool, transitions)),
    ...list(status.splits).flatMap(ofSplit), ...(status.certificates ?? []).flatMap(ofCertificate), ...list(status.caches).flatMap(ofCache),
  ]
  return found.sort((a, b) => RANKS[a.level] - RANKS[b.level])
}

function ofProcess(status) {
  return status.draining ? [{ id: 'draining', level: 'warn', title: 'The process drains', detail: 'It takes no new connections and ends when its requests have.', since: null, href: '#traffic' }] : []
}

/** Answers of 500 and more, if they are more than a few. */
function ofTraffic(samples) {
  const last = samples.slice(-10)
  const sum = name => last.reduce((all, sample) => all + sample[name], 0)
  const [requests, errors] = [sum('requests_per_s'), sum('errors_per_s')]
  if (!requests || errors * 100 < requests * ERROR_PERCENT) return []
  // Those of the edge have any status: only what 4xx cannot account for is surely among these.
  const edge = Math.max(0, sum('edge_errors_per_s') - sum('client_errors_per_s'))
  const made = edge ? ` ${percent(Math.min(100, edge / errors * 100))} of them or more are the edge's own.` : ''
  return [{
    id: 'errors', level: 'bad', title: `${percent(errors / requests * 100)} of requests fail`,
    detail: `${number(errors / last.length)} of ${number(requests / last.length)} a second are answered with 5xx.${made}`, since: errorsSince(samples), href: '#traffic',
  }]
}

/** When the errors began that have not stopped for ten seconds since. */
function errorsSince(samples) {
  let [first, clean] = [null, 0]
  for (let index = samples.length - 1; index >= 0 && clean < 10; index -= 1) {
    if (samples[index].errors_per_s > 0) { first = samples[index].at_ms; clean = 0 } else clean += 1
  }
  return first
}

/** The last reload, if it was refused. */
function ofConfiguration(transitions) {
  const last = transitions.findLast(transition => !transition.pool)
  if (last?.to !== 'refused') return []
  return [{ id: 'refused', level: 'warn', title: 'The last configuration was refused', detail: `${last.from} stays. ${last.why}`, since: Date.parse(last.at), href: '#configurations' }]
}

function ofPool(pool, transitions) {
  const endpoints = list(pool.endpoints)
  const href = `#${encodeURIComponent(anchor(pool.name))}`
  const found = []
  if (endpoints.length && !pool.fit) {
    const out = endpoints.map(endpoint => Date.parse(endpoint.since)).filter(Number.isFinite)
    const detail = pool.panic ? 'Requests go to all that can be connected to.' : 'Requests are answered with errors.'
    found.push({ id: `none ${pool.name}`, level: 'bad', title: `Pool ${pool.name}: no endpoint is fit`, detail, since: out.length ? Math.max(...out) : null, href })
  } else if (pool.panic) {
    const began = transitions.findLast(transition => transition.pool === pool.name && transition.to === 'panic')
    const detail = `Only ${pool.fit} of ${endpoints.length} endpoints are fit, so that all serve that can be connected to.`
    found.push({ id: `panic ${pool.name}`, level: 'bad', title: `Pool ${pool.name} is in panic`, detail, since: began ? Date.parse(began.at) : null, href })
  }
  if (pool.waiting) found.push({ id: `queue ${pool.name}`, level: 'warn', title: `Pool ${pool.name}: ${pool.waiting} requests wait for an endpoint`, detail: `${pool.in_flight} are in flight.`, since: null, href })
  for (const [state, level] of [['unfit', 'bad'], ['ejected', 'bad'], ['draining', 'note'], ['drained', 'note']]) {
    found.push(...together(pool, endpoints.filter(endpoint => endpoint.state === state), { state, level, href }))
  }
  return found
}

/** Endpoints of one state, each by itself if they are few. */
function together(pool, endpoints, { state, level, href }) {
  const since = endpoint => Date.parse(endpoint.since) || null
  if (endpoints.length > APART) {
    const first = Math.min(...endpoints.map(endpoint => since(endpoint) ?? Infinity))
    const reasons = [...new Set(endpoints.map(endpoint => endpoint.reason).filter(Boolean))].slice(0, 3).join('; ')
    return [{ id: `${state} ${pool.name}`, level, title: `${endpoints.length} endpoints of pool ${pool.name} are ${state}`, detail: reasons, since: Number.isFinite(first) ? first : null, href }]
  }
  return endpoints.map(endpoint => ({
    id: `${state} ${pool.name} ${endpoint.address}`, level, title: `${endpoint.address} of pool ${pool.name} is ${state}`, detail: why(endpoint), since: since(endpoint), href,
  }))
}

/** Why an endpoint stands as it does. */
export function why(endpoint) {
  if (endpoint.state === 'ejected') return `${endpoint.reason ?? 'it failed too many requests'}; back in ${span((endpoint.ejected_for_ms ?? 0) / 1000)}`
  if (endpoint.state === 'draining') return endpoint.in_flight === 1 ? '1 request left' : `${endpoint.in_flight} requests left`
  if (endpoint.state === 'drained') return endpoint.reason ?? 'Taken out by an operator, or by a weight of 0'
  if (endpoint.state === 'checking') return 'Its first probe has not ended'
  if (endpoint.on_trial) return 'On trial after an ejection: one request at a time'
  if (endpoint.slow_start_percent !== null && endpoint.slow_start_percent !== undefined) return `Starts slowly, with ${endpoint.slow_start_percent} % of its weight`
  return endpoint.reason ?? ''
}

function ofSplit(split) {
  const canary = split.canary
  if (!canary || canary.phase !== 'aborted') return []
  return [{ id: `canary ${split.route}`, level: 'warn', title: `The canary of route ${split.route} was taken back`, detail: canary.why ?? '', since: null, href: '#splits' }]
}

/** Seconds until a certificate expires. */
export const left = certificate => (Date.parse(certificate.not_after) - now()) / 1000

function ofCertificate(certificate) {
  const seconds = left(certificate)
  if (seconds > SOON) return []
  const name = certificate.names?.[0] ?? certificate.file
  const title = seconds <= 0 ? `The certificate for ${name} has expired` : `The certificate for ${name} expires in ${span(seconds)}`
  const detail = `Listener ${certificate.listener}, ${certificate.file}`
  return [{ id: `certificate ${certificate.listener} ${certificate.file}`, level: seconds < VERY_SOON ? 'bad' : 'warn', title, detail, since: seconds <= 0 ? Date.parse(certificate.not_after) : null, href: '#certificates' }]
}

function ofCache(cache) {
  if (!cache.disk || !['off', 'full'].includes(cache.disk.state)) return []
  const since = cache.disk.for_s === null || cache.disk.for_s === undefined ? null : now() - cache.disk.for_s * 1000
  return [{ id: `cache ${cache.name}`, level: 'warn', title: `The disk of cache ${cache.name} is ${cache.disk.state}`, detail: cache.disk.why ?? '', since, href: '#problems' }]
}

/** By what a pool is found on the page. */
export const anchor = name => `pool-${name}`
