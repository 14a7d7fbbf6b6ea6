// The dashboard in Chromium, against the built binary.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Edge, endpoint, eventually, inaccessible, launch, load, open, row } from './support.mjs'

const INTERVAL = 2000
const UPDATES = 5
const TOKEN = 'a-token-that-is-long-enough'

let browser
before(async () => { browser = await launch() })
after(() => browser.close())

const config = (endpoints, { connections = 64, interval = INTERVAL, more = '' } = {}) => `
server: { control_socket: off }
listeners: { web: { bind: 127.0.0.1:0 } }
admin:
  bind: 127.0.0.1:0
  limits: { connections: ${connections} }
  tokens: { test: { token: "${TOKEN}", scope: operate }, reader: { token: "${TOKEN}-to-read", scope: read } }
pools:
  app:
    endpoints: [${endpoints.map(one => one.address).join(', ')}]
    health: { http: { path: /healthz }, interval: ${interval}ms, fall: 2 }
routes: [{ name: api, pool: app }${more}]
log: { access: { format: off } }
`

describe('an edge with two endpoints', () => {
  let edge, endpoints, page, wrong, stopLoad
  before(async () => {
    endpoints = [await endpoint('127.0.10.1'), await endpoint('127.0.10.2')]
    edge = await Edge.start(config(endpoints))
    stopLoad = load(edge.port('web'), ['/'], 50);
    ({ page, wrong } = await open(browser, edge))
  })
  after(async () => {
    stopLoad()
    await page.close()
    await edge.stop()
    endpoints.forEach(one => one.stop())
  })

  test('the page needs nothing but itself, and says nothing in the console', async () => {
    await page.locator('#verdict-text', { hasText: 'All is well' }).waitFor()
    assert.deepEqual(wrong, [])
    const answer = await fetch(`${edge.admin}/`)
    const policy = answer.headers.get('content-security-policy')
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';/)
    assert.match(policy, /frame-ancestors 'none'/)
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    assert.equal(answer.headers.get('referrer-policy'), 'no-referrer')
  })

  test('numbers move under load', async () => {
    const requests = page.locator('#facts > div', { hasText: 'Requests' }).locator('dd')
    await eventually('requests are counted', async () => parseFloat(await requests.textContent()) > 20)
    const picks = row(page, endpoints[0].address).locator('td.number').nth(1)
    await eventually('so are those of the last minute', async () => parseFloat(await picks.textContent()) > 1)
    const first = await requests.textContent()
    await eventually('they change', async () => await requests.textContent() !== first)
    await page.locator('#route-table tr', { hasText: 'api' }).waitFor()
    const chart = page.getByRole('img', { name: /^Requests over the last 15 minutes/ })
    await eventually('the chart says the same in words', async () => /at most (?!0\b)/.test(await chart.getAttribute('aria-label')))
    await chart.focus()
    await page.keyboard.press('ArrowLeft')
    assert.match(await page.locator('.chart [role=status]').first().textContent(), /^\d\d:\d\d:\d\d: answered \d/)
  })

  test('a reload is seen with what it changed, and one that is refused with its reason', async () => {
    edge.reload(config(endpoints, { more: ', { name: extra, match: { path: /extra }, pool: app }' }))
    await page.locator('.generation', { hasText: 'Generation 2' }).locator('li', { hasText: '+ routes.extra' }).waitFor()
    edge.reload('listeners: 5\n')
    const problem = page.locator('#problem-list li', { hasText: 'The last configuration was refused' })
    await problem.filter({ hasText: 'edge.yaml:1' }).filter({ hasText: /since \d\d:\d\d:\d\d/ }).waitFor()
    edge.reload(config(endpoints))
    await problem.waitFor({ state: 'detached' })
  })

  test('it can be used by those who do not see it', async () => {
    assert.deepEqual(await inaccessible(page), [])
    await page.emulateMedia({ colorScheme: 'dark' })
    assert.deepEqual(await inaccessible(page), [])
    await page.emulateMedia({ colorScheme: 'light' })
  })

  test('an endpoint is drained and taken in again with the keyboard and a token', async () => {
    const [{ address }] = endpoints
    await page.getByRole('button', { name: `Drain ${address}` }).focus()
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog')
    await dialog.getByText('finishes').waitFor()
    await page.keyboard.type('a-token-that-is-not-known-here')
    await page.keyboard.press('Enter')
    await eventually('the wrong token is refused', () => dialog.getByRole('alert').textContent())
    await page.keyboard.type(`${TOKEN}-to-read`)
    await page.keyboard.press('Enter')
    await eventually('and one to read with', async () => await dialog.getByLabel('Token').inputValue() === '')
    await page.keyboard.type(TOKEN)
    await page.keyboard.press('Enter')
    await dialog.waitFor({ state: 'hidden' })
    await row(page, address).getByText(/drain/).first().waitFor()
    assert.equal(await page.evaluate(() => document.cookie + JSON.stringify(localStorage)).then(kept => kept.includes(TOKEN)), false)
    await page.getByRole('button', { name: `Take in ${address}` }).focus()
    await page.keyboard.press('Enter')
    await dialog.getByRole('button', { name: 'Take in' }).waitFor()
    await page.keyboard.press('Enter')
    await row(page, address).getByText('fit').waitFor()
    await page.getByRole('button', { name: `Weight of ${address}` }).press('Enter')
    await dialog.getByLabel('New weight').fill('7')
    await page.keyboard.press('Enter')
    await eventually('it has the weight', async () => await row(page, address).locator('td.number').last().textContent() === '7')
    await page.getByRole('button', { name: `Drain ${address}` }).press('Enter')
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    assert.equal(await row(page, address).getAttribute('data-state'), 'fit')
    // Browsers write answers of 401 and 403 there.
    const others = wrong.filter(text => !/status of 40[13]/.test(text))
    assert.deepEqual(others, [])
  })

  test('its checks are told', async () => {
    await page.getByRole('button', { name: endpoints[1].address, exact: true }).click()
    await page.getByRole('dialog').locator('.probes li', { hasText: 'passed' }).first().waitFor()
    await page.keyboard.press('Escape')
  })

  test('an endpoint that is killed turns red within two check intervals', async () => {
    const { address } = endpoints[1]
    endpoints[1].stop()
    const dead = page.locator('tr[data-state=unfit], tr[data-state=ejected]', { hasText: address })
    // And a second until the page is told.
    await dead.waitFor({ timeout: 2 * INTERVAL + 1000 })
    await page.locator('#verdict[data-level=bad]').waitFor()
    await page.locator('#problem-list li[data-level=bad]', { hasText: address }).filter({ hasText: /since \d\d:\d\d:\d\d/ }).waitFor()
    await page.locator('#change-table tr', { hasText: address }).filter({ hasText: /unfit|ejected/ }).first().waitFor()
  })

  test('what is old is shown as old, and the page comes back by itself', async () => {
    edge.process.kill('SIGSTOP')
    await page.locator('#stale:not([hidden])').waitFor()
    edge.process.kill('SIGCONT')
    await page.locator('#stale').waitFor({ state: 'hidden' })
  })
})

test('no more listen than may, and others still have their answers', async t => {
  const one = await endpoint()
  t.after(() => one.stop())
  const edge = await Edge.start(config([one], { connections: 4 }))
  t.after(() => edge.stop())
  const listening = await Promise.all([1, 2].map(() => fetch(`${edge.admin}/v1/events`)))
  assert.deepEqual(listening.map(answer => answer.status), [200, 200])
  const third = await fetch(`${edge.admin}/v1/events`)
  assert.equal(third.status, 503)
  assert.match((await third.json()).error, /listen/)
  assert.equal((await fetch(`${edge.admin}/healthz`)).status, 200)
  await listening[0].body.cancel()
  await eventually('a place is free', async () => {
    const answer = await fetch(`${edge.admin}/v1/events`)
    await answer.body.cancel()
    return answer.status === 200
  })
  await listening[1].body.cancel()
})

test('a thousand endpoints stay smooth', async t => {
  // One server has all addresses of this machine.
  const server = await endpoint('0.0.0.0')
  t.after(() => server.stop())
  const addresses = Array.from({ length: 1000 }, (_, index) => ({ address: `127.20.${index >> 8}.${index & 255}:${server.port}` }))
  const edge = await Edge.start(config(addresses, { interval: 30000 }))
  t.after(() => edge.stop())
  t.after(load(edge.port('web'), ['/'], 300))
  const { page, wrong } = await open(browser, edge)
  t.after(() => page.close())
  await page.getByRole('button', { name: 'app', exact: true }).click()
  await page.locator('tr[data-state=fit]').first().waitFor()
  assert(await page.locator('#pool-app tbody tr').count() < 100, 'only what can be seen is made')
  await page.locator('#pool-app').scrollIntoViewIfNeeded()
  await page.mouse.wheel(0, 15000)
  await eventually('rows further down are made', () => page.locator('tr', { hasText: '127.20.1.' }).count())
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  // What tasks take, without layout and styles: scripts that the end of a promise runs are not counted as scripts by Chromium.
  const scripting = async () => {
    const { metrics } = await session.send('Performance.getMetrics')
    const [tasks, layout, style] = ['TaskDuration', 'LayoutDuration', 'RecalcStyleDuration'].map(wanted => metrics.find(({ name }) => name === wanted).value)
    return tasks - layout - style
  }
  const before = await scripting()
  await page.evaluate(updates => new Promise(resolve => {
    let seen = 0
    const count = () => { seen += 1; if (seen === updates) resolve() }
    new MutationObserver(count).observe(document.querySelector('#facts'), { subtree: true, childList: true })
  }), UPDATES)
  const each = (await scripting() - before) * 1000 / UPDATES
  console.log(`scripting for a second's update of 1000 endpoints: ${each.toFixed(1)} ms`)
  assert(each < 50, `${each} ms`)
  await page.getByLabel(/^Filter/).fill('127.20.3.9:')
  await eventually('the filter leaves one', async () => await page.locator('#pool-app tbody tr').count() === 1)
  assert.deepEqual(wrong, [])
})
