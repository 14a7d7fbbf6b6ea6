// Elements are made and changed here alone. Names come from configurations and clients, so whatever is shown is text.

/** Makes an element: `el('td', { class: 'number' }, 'text', otherElement)`. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else set(element, name, value)
  }
  element.append(...children.filter(child => child !== null && child !== undefined))
  return element
}

/** Sets an attribute, if it is another; null removes it, true sets it empty. */
export function set(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name)
  } else {
    const text = value === true ? '' : String(value)
    if (element.getAttribute(name) !== text) element.setAttribute(name, text)
  }
}

const shown = new WeakMap()

/** Shows a text, if it is another than before. */
export function say(element, text) {
  const value = text ?? ''
  if (shown.get(element) === value) return
  shown.set(element, value)
  element.textContent = value
}

export const find = id => document.getElementById(id)

/** Has `container` hold these elements in this order; what is in its place already is not touched. */
export function arrange(container, elements) {
  let place = container.firstElementChild
  for (const element of elements) {
    if (element === place) place = place.nextElementSibling
    else container.insertBefore(element, place)
  }
  while (place) {
    const next = place.nextElementSibling
    place.remove()
    place = next
  }
}

/** A table that keeps its rows by key: `update` gets the items in order, and changes only cells that differ. */
export class Table {
  /** Columns are `{ title, class?, show(item) }`, where `show` gives the text of a cell; `paint(cell, item)` does all of it. */
  constructor(container, { caption, columns, key, empty, most = 50 }) {
    Object.assign(this, { columns, key, most, empty, rows: new Map() })
    this.body = el('tbody')
    const heads = columns.map(column => el('th', { scope: 'col', class: column.class }, column.title))
    const table = el('table', {}, el('caption', { class: 'hidden' }, caption), el('thead', {}, el('tr', {}, ...heads)), this.body)
    this.scroll = el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': caption }, table)
    this.note = el('p', { class: 'muted note' })
    this.more = el('button', { type: 'button', onclick: () => { this.most = Infinity; this.update(this.items, this.isPart) } }, 'Show all')
    container.replaceChildren(this.scroll, this.note)
  }

  /** `isPart` tells whether others are left out by a filter. */
  update(items, isPart = false) {
    Object.assign(this, { items, isPart })
    const rows = new Map()
    for (const item of items.slice(0, this.most)) {
      const key = this.key(item)
      const row = this.rows.get(key) ?? this.row()
      rows.set(key, row)
      this.columns.forEach((column, index) => column.paint ? column.paint(row.children[index], item) : say(row.children[index], column.show(item)))
      if (this.mark) this.mark(row, item)
    }
    this.rows = rows
    arrange(this.body, [...rows.values()])
    this.scroll.hidden = items.length === 0
    const hidden = items.length - rows.size
    if (hidden > 0) this.note.replaceChildren(`and ${hidden} more `, this.more)
    else this.note.replaceChildren(items.length ? '' : isPart ? 'Nothing here has this in it.' : this.empty)
  }

  row() {
    const cells = this.columns.map((column, index) => el(index ? 'td' : 'th', { class: column.class, scope: index ? null : 'row' }))
    return el('tr', {}, ...cells)
  }
}
