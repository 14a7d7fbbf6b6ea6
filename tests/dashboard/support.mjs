// A running edge with endpoints that answer, and a browser that looks at it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const PATIENCE = 20000
const require = createRequire(path.join(process.env.DASHBOARD_MODULES, 'package.json'))
const { chromium } = require('playwright-core')
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

/** Waits until `check` gives something. */
export async function eventually(what, check) {
  const until = Date.now() + PATIENCE
  for (;;) {
    const found = await check()
    if (found) return found
    assert(Date.now() < until, `never: ${what}`)
    await sleep(50)
  }
}

/** A server that answers after about `latency` ms, on an address of its own. */
export async function endpoint(address = '127.0.0.1', { latency = 2, status = () => 200 } = {}) {
  const server = http.createServer((request, answer) => {
    // As skewed as real ones are.
    const wait = request.url === '/healthz' ? 0 : latency * (0.7 + Math.random() ** 6 * 8)
    setTimeout(() => { answer.statusCode = request.url === '/healthz' ? 200 : status(); answer.end('ok\n') }, wait)
  })
  server.listen(0, address)
  await new Promise(resolve => server.on('listening', resolve))
  return {
    address: `${address}:${server.address().port}`,
    port: server.address().port,
    stop() { server.closeAllConnections(); server.close() },
  }
}

/** `evener run` with a configuration, in a folder of its own, which may hold more. */
export class Edge {
  static async start(config, prepare = () => {}) {
    const edge = new Edge()
    edge.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashboard-'))
    prepare(edge.folder)
    edge.write(config)
    edge.process = spawn(process.env.EVENER, ['run', '-c', 'edge.yaml'], { cwd: edge.folder, stdio: ['ignore', 'ignore', 'pipe'] })
    edge.messages = ''
    edge.process.stderr.setEncoding('utf8').on('data', text => { edge.messages += text })
    await eventually('the edge is up', () => {
      assert(edge.process.exitCode === null, edge.messages)
      return /^ {2}curl /m.test(edge.messages)
    })
    return edge
  }

  write(config) {
    fs.writeFileSync(path.join(this.folder, 'edge.yaml'), config)
  }

  /** Has the process read its file again. */
  reload(config) {
    this.write(config)
    this.process.kill('SIGHUP')
  }

  /** Where a listener answers, as the banner tells it. */
  port(listener) {
    return Number(new RegExp(`^ +listener ${listener} .*:(\\d+)`, 'm').exec(this.messages)[1])
  }

  get admin() {
    return `http://${/^ +admin +(\S+)/m.exec(this.messages)[1]}`
  }

  async stop() {
    this.process.kill('SIGINT')
    await eventually('the edge ends', () => this.process.exitCode !== null)
    fs.rmSync(this.folder, { recursive: true })
    assert(!this.messages.includes('panicked'), this.messages)
  }
}

/** Requests for these paths, so many a second, until it is stopped. */
export function load(port, paths, perSecond) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 40 })
  let sent = 0
  const timer = setInterval(() => {
    for (let each = 0; each < perSecond / 50; each += 1) {
      sent += 1
      const request = http.get({ port, path: paths[sent % paths.length], agent }, answer => answer.resume())
      // What fails there is what the page is to show.
      request.on('error', () => {})
    }
  }, 20)
  return () => { clearInterval(timer); agent.destroy() }
}

/** A browser without a window. */
export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server'] })

/** The dashboard of an edge, and all that went wrong on the page. */
export async function open(browser, edge, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 1000 }, ...options })
  page.setDefaultTimeout(PATIENCE)
  const wrong = []
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) wrong.push(message.text()) })
  page.on('pageerror', error => wrong.push(error.stack))
  page.on('request', request => { if (!request.url().startsWith(`${edge.admin}/`) && !request.url().startsWith('data:')) wrong.push(`asks for ${request.url()}`) })
  await page.goto(`${edge.admin}/`)
  await page.locator('#pool-list .pool').first().waitFor()
  return { page, wrong }
}

/** Serious findings of axe, as text. */
export async function inaccessible(page) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run())
  const grave = violations.filter(({ impact }) => ['serious', 'critical', 'moderate'].includes(impact))
  return grave.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map(node => node.html).slice(0, 3).join(' ')}`)
}

export const row = (page, address) => page.locator('tr', { has: page.getByRole('button', { name: address, exact: true }) })
