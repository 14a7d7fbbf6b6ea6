// Questions to the process, the token that they may need, and changes, each after a confirmation.
import { el, find, say } from './dom.js'

const TOKEN = 'evener.token'
const PATIENCE = 10000

/** Why the process did not do what it was asked for. */
export class Refused extends Error {
  constructor(status, { error, help }) {
    super(help ? `${error}: ${help}` : error)
    this.status = status
  }
}

/** The token, which is kept until the tab is closed. */
export const token = {
  value: () => sessionStorage.getItem(TOKEN),
  show() {
    say(find('token'), this.value() ? 'Forget token' : 'Token')
  },
  forget() {
    sessionStorage.removeItem(TOKEN)
    this.show()
  },
  keep(value) {
    sessionStorage.setItem(TOKEN, value)
    this.show()
  },
  /** Asks for it; resolves to whether one was given. */
  ask: reason => ask({ title: 'Token', text: reason, action: 'Keep it', needsToken: true, act: async () => {} }),
}

async function request(method, path, { signal, body } = {}) {
  const headers = {}
  if (token.value()) headers.Authorization = `Bearer ${token.value()}`
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  const text = body === undefined ? undefined : JSON.stringify(body)
  const response = await fetch(path, { method, headers, body: text, signal, cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer' })
  if (response.ok) return response
  const problem = await response.json().catch(() => ({}))
  if (response.status === 401) token.forget()
  throw new Refused(response.status, { error: problem.error ?? `The process answered ${response.status}`, help: problem.help })
}

const json = response => response.json()

/** Reads what is at a path. */
export const get = (path, signal, read = json) => request('GET', path, { signal }).then(read)

const endpointPath = (pool, address) => `/v1/pools/${encodeURIComponent(pool)}/endpoints/${encodeURIComponent(address)}`

const change = (method, path, body) => request(method, path, { body, signal: AbortSignal.timeout(PATIENCE) })

export const readEndpoint = (pool, address) => get(endpointPath(pool, address), AbortSignal.timeout(PATIENCE))

export function drain(pool, endpoint) {
  const { address, in_flight: inFlight } = endpoint
  return ask({
    title: `Drain ${address}?`,
    text: `It gets no new requests from pool ${pool}, and finishes the ${inFlight} that it has.`,
    action: 'Drain',
    done: `${address} is drained`,
    act: () => change('POST', `${endpointPath(pool, address)}/drain`, {}),
  })
}

export function undrain(pool, { address }) {
  return ask({
    title: `Take ${address} in again?`,
    text: `It gets requests of pool ${pool} again, as far as it is fit.`,
    action: 'Take in',
    done: `${address} is taken in again`,
    act: () => change('POST', `${endpointPath(pool, address)}/undrain`, {}),
  })
}

export function weigh(pool, { address, weight }) {
  const field = el('input', { id: 'weight', type: 'number', min: '0', max: '1000', step: '1', required: true, value: weight })
  return ask({
    title: `Weight of ${address}`,
    text: `Its share of pool ${pool}, beside those of the others. It is ${weight} now; 0 drains it.`,
    action: 'Change',
    done: () => `${address} has the weight ${field.value}`,
    fields: [el('label', { for: 'weight' }, 'New weight'), field],
    act: () => change('PUT', `${endpointPath(pool, address)}/weight`, { weight: Number(field.value) }),
  })
}

/** Shows something until it is closed. */
export function tell(title, ...content) {
  const dialog = find('dialog')
  const close = el('button', { type: 'button', onclick: () => dialog.close() }, 'Close')
  dialog.replaceChildren(el('h2', { id: 'dialog-title' }, title), ...content, el('p', { class: 'buttons' }, close))
  dialog.showModal()
  close.focus()
}

/** Has somebody confirm, and acts then; asks for a token where there is none, or it is not taken. Resolves to whether it was done. */
function ask({ title, text, action, fields = [], needsToken = true, act, done }) {
  const dialog = find('dialog')
  const secret = el('input', { id: 'token-field', type: 'password', autocomplete: 'off', spellcheck: 'false' })
  const about = el('p', { class: 'muted' }, 'It needs a token with the scope to operate. The token is kept until this tab is closed.')
  const asking = el('div', { class: 'fields' }, el('label', { for: 'token-field' }, 'Token'), secret, about)
  const problem = el('p', { class: 'problem-text', role: 'alert' })
  const cancel = el('button', { type: 'button' }, 'Cancel')
  const confirm = el('button', { type: 'submit', class: 'primary' }, action)
  const form = el('form', { method: 'dialog' },
    el('h2', { id: 'dialog-title' }, title), el('p', {}, text), el('div', { class: 'fields' }, ...fields), asking, problem,
    el('p', { class: 'buttons' }, cancel, confirm))
  const wantToken = isWanted => { asking.hidden = !isWanted; secret.required = isWanted }
  wantToken(needsToken && !token.value())
  return new Promise(resolve => {
    const finish = isDone => { dialog.onclose = null; dialog.close(); resolve(isDone) }
    dialog.onclose = () => resolve(false)
    cancel.onclick = () => finish(false)
    form.onsubmit = async event => {
      event.preventDefault()
      if (secret.value) token.keep(secret.value)
      say(problem, '')
      confirm.disabled = true
      try {
        await act()
        if (done) say(find('said'), typeof done === 'function' ? done() : done)
        finish(true)
      } catch (error) {
        say(problem, error instanceof Refused ? error.message : 'The process cannot be reached; nothing may have changed.')
        if (error.status === 401 || error.status === 403) {
          secret.value = ''
          wantToken(true)
          secret.focus()
        }
      }
      confirm.disabled = false
    }
    dialog.replaceChildren(form)
    dialog.showModal()
    const first = fields.find(field => field.tagName === 'INPUT') ?? (asking.hidden ? confirm : secret)
    first.focus()
  })
}
