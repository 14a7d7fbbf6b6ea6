// The connection: everything is read with `fetch`, so that it can carry a token, which an EventSource cannot.
import { find } from './dom.js'
import { addSample, addTransitions, merge, reset, store } from './store.js'
import { tellTime } from './format.js'
import { Refused, get, token } from './steer.js'

const SILENCE = 4000
/** A connection of which nothing has come for so long is given up. */
const DEAD = 12000
const SHORTEST_WAIT = 500
const LONGEST_WAIT = 15000

/** Follows the process for as long as the page is seen. `told(names)` is called after events, `state(text)` with what is wrong. */
export class Stream {
  constructor({ told, state }) {
    Object.assign(this, { told, state, wait: SHORTEST_WAIT, began: 0, heard: 0, problem: '', needsToken: false })
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return this.leave()
      // What is shown is no older than it can be by now.
      this.heard = performance.now()
      this.connect()
    })
    setInterval(() => this.watch(), 1000)
    this.connect()
  }

  /** Begins anew; whatever was there before ends. */
  async connect() {
    this.leave()
    if (document.hidden) return
    this.began = performance.now()
    const ending = this.ending = new AbortController()
    try {
      await this.read(ending.signal)
      this.problem = 'The connection was closed'
    } catch (error) {
      if (ending.signal.aborted) return
      this.problem = error instanceof Refused ? error.message : 'The process cannot be reached'
      this.needsToken = error.status === 401
      this.watch()
      if (this.needsToken) {
        if (!find('dialog').open && await token.ask('This process tells nothing without a token.')) this.connect()
        return
      }
    }
    if (ending.signal.aborted) return
    this.watch()
    this.timer = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2))
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT)
  }

  leave() {
    clearTimeout(this.timer)
    this.ending?.abort()
  }

  /** What is shown is old once nothing has come for a while. */
  watch() {
    if (document.hidden) return
    const silence = performance.now() - Math.max(this.heard, this.began)
    if (silence > DEAD && !this.needsToken) this.connect()
    const isOld = performance.now() - this.heard > SILENCE
    if (this.needsToken) return this.state(`${this.problem}. The button Token takes one.`)
    if (isOld && this.heard) this.state(`${this.problem || 'Nothing has come from the process'}. What is shown is old, and is read again as soon as can be.`)
    else if (isOld && this.problem) this.state(`${this.problem}. It is tried again.`)
    else this.state('')
  }

  async read(signal) {
    // Begun first, so that nothing is missed between what was and what comes.
    const response = await get('/v1/events', signal, answer => answer)
    const [series, transitions] = await Promise.all([get('/v1/series', signal), get('/v1/transitions', signal)])
    reset({ samples: series.samples, transitions: transitions.transitions, generations: store.generations })
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    let rest = ''
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const events = (rest + value).split('\n\n')
      rest = events.pop()
      const names = events.map(event => this.take(event))
      this.heard = performance.now()
      this.wait = SHORTEST_WAIT
      this.problem = ''
      this.needsToken = false
      this.watch()
      if (names.length) this.told(new Set(names))
    }
  }

  /** Notes what an event says, and gives back its name. */
  take(text) {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(text) ?? []
    if (!name) return ''
    const value = JSON.parse(data)
    if (name === 'status') store.status = value
    else if (name === 'patch') merge(store.status, value)
    else if (name === 'transition') addTransitions([value])
    else if (name === 'sample') { tellTime(value.at_ms); addSample(value) }
    return name
  }
}
