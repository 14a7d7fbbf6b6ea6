// Numbers and times as people read them.

let ahead = 0

/** Takes the clock of the process for the true one, whatever the browser's says. */
export function tellTime(milliseconds) {
  ahead = milliseconds - Date.now()
}

export const now = () => Date.now() + ahead

export function number(value) {
  if (value === null || value === undefined) return '–'
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`
  if (value >= 1e5) return `${(value / 1e3).toFixed(0)} k`
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0)
  return value.toFixed(value >= 10 ? 1 : 2)
}

/** Milliseconds. */
export function latency(value) {
  if (value === null || value === undefined) return '–'
  if (value >= 10000) return `${(value / 1000).toFixed(1)} s`
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`
  return `${value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2)} ms`
}

export const percent = value => value === null || value === undefined ? '–' : `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} %`

export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1 }
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`
}

/** How long, from seconds, in its two largest units. */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds))
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']]
  const first = parts.findIndex(([size]) => whole >= size)
  if (first < 0) return '0 s'
  const [size, unit] = parts[first]
  const rest = parts[first + 1]
  const more = rest ? Math.floor((whole % size) / rest[0]) : 0
  return `${Math.floor(whole / size)} ${unit}${more ? ` ${more} ${rest[1]}` : ''}`
}

const times = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
const days = new Intl.DateTimeFormat([], { month: 'short', day: 'numeric' })

/** The time of day, with the day where it is another. */
export function clock(milliseconds) {
  const date = new Date(milliseconds)
  const isToday = date.toDateString() === new Date(now()).toDateString()
  return isToday ? times.format(date) : `${days.format(date)} ${times.format(date)}`
}

/** `since 12:03:07, 4 min 2 s`. */
export const since = milliseconds => `since ${clock(milliseconds)}, ${span((now() - milliseconds) / 1000)}`

export const ago = milliseconds => `${span((now() - milliseconds) / 1000)} ago`
