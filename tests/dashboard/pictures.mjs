// Writes pictures of the dashboard into a folder: an edge with several pools under load for some minutes, on a bad day.
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Edge, endpoint, eventually, launch, load, open } from './support.mjs'

const folder = path.resolve(process.argv[2])
const minutes = Number(process.env.MINUTES ?? 14)
const failing = { now: false }

const pools = {
  web: [4, '10', 3], api: [6, '20', 9], checkout: [3, '30', 22], images: [2, '40', 1.5],
}
const endpoints = {}
for (const [name, [many, network, latency]] of Object.entries(pools)) {
  const status = () => name === 'checkout' && failing.now && Math.random() < 0.5 ? 503 : 200
  endpoints[name] = await Promise.all(Array.from({ length: many }, (_, index) => endpoint(`127.0.${network}.${index + 11}`, { latency, status: index === 1 ? status : () => 200 })))
}

const pool = (name, more = '') => `  ${name}: { endpoints: [${endpoints[name].map(one => one.address).join(', ')}], health: { http: { path: /healthz }, interval: 2s }${more} }\n`
const config = checkout => `
server: { control_socket: off }
listeners:
  web: { bind: 127.0.0.1:0 }
  secure: { bind: 127.0.0.1:0, tls: { certificates: [{ cert: site.pem, key: site.key }] } }
admin: { bind: 127.0.0.1:0 }
pools:
${pool('web')}${pool('api')}${pool('checkout', checkout)}${pool('images')}
routes:
  - { name: images, match: { path: /images }, pool: images }
  - { name: api, match: { path: /api }, filters: [{ rate_limit: { rate: 100/s, burst: 60 } }], pool: api }
  - { name: checkout, match: { path: /checkout }, pool: checkout }
  - { name: pages, pool: web }
log: { access: { format: off } }
`

const certify = cwd => execFileSync('openssl', [
  'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '12', '-subj', '/CN=shop.example',
  '-addext', 'subjectAltName=DNS:shop.example,DNS:*.shop.example', '-keyout', 'site.key', '-out', 'site.pem',
], { cwd, stdio: 'ignore' })
const edge = await Edge.start(config(''), certify)

const port = edge.port('web')
const paths = ['/', '/images/a.webp', '/api/cart', '/images/b.webp', '/products/7', '/api/prices', '/', '/checkout', '/images/c.webp', '/api/stock']
const stops = [load(port, paths, 220)]
// More and less, as through a day.
let extra = null
const tide = setInterval(() => { if (extra) { extra(); extra = null } else extra = load(port, paths, 110) }, 97000)
const minute = 60000 * minutes / 14
await sleep(5 * minute)
edge.reload(config(', retry: { attempts: 1 }, outlier: { consecutive: 4, eject: 60s }'))
await sleep(5 * minute)
failing.now = true
await sleep(2.2 * minute)
endpoints.api[4].stop()
await sleep(1.3 * minute)
edge.reload(config(', retry: { attemps: 1 }'))
await sleep(0.5 * minute)

const browser = await launch()
for (const colorScheme of ['light', 'dark']) {
  const { page } = await open(browser, edge, { colorScheme, viewport: { width: 1440, height: 1300 }, timezoneId: 'UTC' })
  await eventually('all is there', () => page.locator('#problem-list li[data-level=bad]').count())
  await sleep(3000)
  await page.screenshot({ path: path.join(folder, `dashboard-${colorScheme}.png`) })
  await page.close()
}
await browser.close()
clearInterval(tide)
extra?.()
stops.forEach(stop => stop())
await edge.stop()
Object.values(endpoints).flat().forEach(one => one.stop())
