// What is known of the process.

const KEPT_SAMPLES = 900
const KEPT_TRANSITIONS = 256

export const store = {
  /** Lists of named things are maps by name, as `/v1/events` has them. */
  status: null,
  /** The oldest first. */
  samples: [],
  transitions: [],
  /** Configurations, the oldest first. */
  generations: [],
}

/** Applies a patch of RFC 7396, in place. */
export function merge(target, patch) {
  for (const [name, change] of Object.entries(patch)) {
    if (name === '__proto__') continue
    const before = target[name]
    if (change === null) delete target[name]
    else if (isMap(change)) target[name] = merge(isMap(before) ? before : {}, change)
    else target[name] = change
  }
  return target
}

const isMap = value => typeof value === 'object' && value !== null && !Array.isArray(value)

export function addSample(sample) {
  const last = store.samples.at(-1)
  if (last && sample.at_ms <= last.at_ms) return
  store.samples.push(sample)
  if (store.samples.length > KEPT_SAMPLES) store.samples.splice(0, store.samples.length - KEPT_SAMPLES)
}

export function addTransitions(transitions) {
  const known = store.transitions.at(-1)?.number ?? 0
  store.transitions.push(...transitions.filter(transition => transition.number > known))
  if (store.transitions.length > KEPT_TRANSITIONS) store.transitions.splice(0, store.transitions.length - KEPT_TRANSITIONS)
}

/** Takes what was read as a whole, which may be that of another process than before. */
export function reset({ samples, transitions, generations }) {
  Object.assign(store, { samples, transitions, generations })
}

export const list = map => Object.values(map ?? {})
