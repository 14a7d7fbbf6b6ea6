// Lines over the last quarter of an hour, on a canvas, with what they come to as text.
import { el, say, set } from './dom.js'
import { clock, now } from './format.js'

const SPAN = 900000
const MARGIN = { left: 48, right: 8, top: 8, bottom: 20 }
/** Samples that are further apart have nothing between them. */
const GAP = 3500

/** A chart. Lines are `{ name, of(sample), color, dash? }`; colors are names of custom properties. */
export class Chart {
  constructor({ title, unit, lines, format, tick = format, isLog = false }) {
    Object.assign(this, { title, lines, format, tick, isLog, samples: [], marks: [], at: null })
    this.canvas = el('canvas', { tabindex: '0', role: 'img' })
    this.values = lines.map(() => el('span', { class: 'value' }))
    const legend = lines.map((line, index) => el('span', { class: `key ${line.color}` }, el('i', { 'aria-hidden': 'true' }), `${line.name} `, this.values[index]))
    this.when = el('span', { class: 'muted when' })
    this.readout = el('p', { class: 'hidden', role: 'status' })
    this.root = el('figure', { class: 'chart' }, el('figcaption', {}, el('h3', {}, title, el('span', { class: 'muted' }, ` ${unit}`)), el('p', { class: 'legend' }, ...legend, this.when)), this.canvas, this.readout)
    this.canvas.addEventListener('pointermove', event => this.point(event.offsetX))
    this.canvas.addEventListener('pointerleave', () => this.point(null))
    this.canvas.addEventListener('blur', () => this.point(null))
    this.canvas.addEventListener('keydown', event => this.step(event))
    new ResizeObserver(() => this.draw()).observe(this.canvas)
  }

  /** Shows samples, with `{ at, text }` as marks. */
  update(samples, marks) {
    Object.assign(this, { samples, marks })
    this.draw()
    // Often enough for who listens to it.
    if (!this.told || now() - this.told > 15000) {
      this.told = now()
      set(this.canvas, 'aria-label', this.words())
    }
  }

  /** The chart in words. */
  words() {
    const told = this.lines.map(line => {
      const values = this.samples.map(line.of).filter(value => value !== null && value !== undefined)
      if (!values.length) return `${line.name}: nothing yet`
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      return `${line.name}: now ${this.format(values.at(-1))}, mean ${this.format(mean)}, at most ${this.format(Math.max(...values))}`
    })
    return `${this.title} over the last 15 minutes. ${told.join('; ')}. The arrow keys read single seconds.`
  }

  point(x) {
    const width = this.canvas.clientWidth - MARGIN.left - MARGIN.right
    const end = now()
    this.at = x === null ? null : this.nearest(end - SPAN + (x - MARGIN.left) / width * SPAN)
    this.draw()
  }

  nearest(time) {
    let best = null
    for (const sample of this.samples) if (!best || Math.abs(sample.at_ms - time) < Math.abs(best.at_ms - time)) best = sample
    return best
  }

  step(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60, Home: -Infinity, End: Infinity }
    if (!(event.key in moves) || !this.samples.length) return
    event.preventDefault()
    const index = this.at ? this.samples.indexOf(this.at) : this.samples.length
    this.at = this.samples[Math.max(0, Math.min(this.samples.length - 1, index + moves[event.key]))]
    this.draw()
    const values = this.lines.map(line => `${line.name} ${this.format(line.of(this.at))}`)
    say(this.readout, `${clock(this.at.at_ms)}: ${values.join(', ')}`)
  }

  draw() {
    const shown = this.at ?? this.samples.at(-1)
    this.lines.forEach((line, index) => say(this.values[index], shown ? this.format(line.of(shown)) : '–'))
    say(this.when, this.at ? clock(this.at.at_ms) : 'now')
    const { canvas } = this
    const [width, height] = [canvas.clientWidth, canvas.clientHeight]
    if (!width) return
    const scale = window.devicePixelRatio || 1
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale)
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale)
    const pen = canvas.getContext('2d')
    pen.setTransform(scale, 0, 0, scale, 0, 0)
    pen.clearRect(0, 0, width, height)
    const style = getComputedStyle(canvas)
    const color = name => style.getPropertyValue(`--${name}`)
    const end = now()
    const frame = { pen, color, font: `11px ${style.fontFamily}`, x: time => MARGIN.left + (time - end + SPAN) / SPAN * (width - MARGIN.left - MARGIN.right), ...this.scaleY(height), width, height, end }
    this.drawAxes(frame)
    this.drawMarks(frame)
    this.lines.forEach(line => this.drawLine(frame, line))
    this.drawCursor(frame)
  }

  /** From a value to its height; ticks are values that are written. */
  scaleY(height) {
    const [bottom, tall] = [height - MARGIN.bottom, height - MARGIN.bottom - MARGIN.top]
    let most = 0
    for (const sample of this.samples) for (const line of this.lines) most = Math.max(most, line.of(sample) ?? 0)
    if (this.isLog) {
      const [low, high] = [-1, Math.max(1, Math.ceil(Math.log10(most || 1)))]
      const ticks = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index))
      return { ticks, y: value => bottom - (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low) * tall }
    }
    const top = nice(most)
    return { ticks: [0, top / 2, top], y: value => bottom - value / top * tall }
  }

  drawAxes({ pen, color, font, x, y, ticks, width, height, end }) {
    Object.assign(pen, { font, fillStyle: color('muted'), strokeStyle: color('line'), lineWidth: 1, textAlign: 'right', textBaseline: 'middle' })
    const skip = Math.ceil(ticks.length / 5)
    ticks.forEach((tick, index) => {
      const at = Math.round(y(tick)) + 0.5
      pen.beginPath(); pen.moveTo(MARGIN.left, at); pen.lineTo(width - MARGIN.right, at); pen.stroke()
      if (index % skip === 0) pen.fillText(this.tick(tick), MARGIN.left - 6, at)
    })
    Object.assign(pen, { textAlign: 'center', textBaseline: 'alphabetic' })
    const step = 300000
    const shift = new Date(end).getTimezoneOffset() * 60000
    for (let time = Math.ceil((end - SPAN - shift) / step) * step + shift; time < end; time += step) {
      if (x(time) > MARGIN.left + 16 && x(time) < width - 20) pen.fillText(clock(time).slice(-8, -3), x(time), height - 5)
    }
  }

  /** When the configuration changed: what begins there may come of it. */
  drawMarks({ pen, color, x, height }) {
    for (const mark of this.marks) {
      if (x(mark.at) < MARGIN.left) continue
      pen.strokeStyle = color(mark.isBad ? 'bad' : 'info')
      pen.setLineDash([3, 3])
      pen.beginPath(); pen.moveTo(x(mark.at), MARGIN.top); pen.lineTo(x(mark.at), height - MARGIN.bottom); pen.stroke()
      pen.setLineDash([])
      pen.fillStyle = pen.strokeStyle
      pen.beginPath(); pen.moveTo(x(mark.at) - 4, MARGIN.top - 6); pen.lineTo(x(mark.at) + 4, MARGIN.top - 6); pen.lineTo(x(mark.at), MARGIN.top + 1); pen.fill()
    }
  }

  drawLine({ pen, color, x, y }, line) {
    Object.assign(pen, { strokeStyle: color(line.color), lineWidth: 1.5, lineJoin: 'round' })
    pen.setLineDash(line.dash ?? [])
    pen.beginPath()
    let last = null
    for (const sample of this.samples) {
      const value = line.of(sample)
      const at = x(sample.at_ms)
      if (value === null || value === undefined || at < MARGIN.left) { last = null; continue }
      if (last === null || sample.at_ms - last > GAP) { pen.moveTo(at, y(value)); pen.lineTo(at + 0.5, y(value)) } else pen.lineTo(at, y(value))
      last = sample.at_ms
    }
    pen.stroke()
    pen.setLineDash([])
  }

  drawCursor({ pen, color, x, y, height }) {
    if (!this.at) return
    pen.strokeStyle = color('text')
    pen.lineWidth = 1
    pen.beginPath(); pen.moveTo(x(this.at.at_ms), MARGIN.top); pen.lineTo(x(this.at.at_ms), height - MARGIN.bottom); pen.stroke()
    for (const line of this.lines) {
      const value = line.of(this.at)
      if (value === null || value === undefined) continue
      pen.fillStyle = color(line.color)
      pen.beginPath(); pen.arc(x(this.at.at_ms), y(value), 3, 0, 2 * Math.PI); pen.fill()
    }
  }
}

/** The next number of 1, 2 and 5 with zeros. */
function nice(most) {
  if (most <= 1) return 1
  const power = 10 ** Math.floor(Math.log10(most))
  return [1, 2, 5, 10].map(step => step * power).find(step => step >= most)
}
