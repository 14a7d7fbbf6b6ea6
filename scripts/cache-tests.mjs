// Counts the results of http-cache-tests, and compares those that failed with those that are known to.
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [place, known] = process.argv.slice(2)
const read = async (file) => (await import(pathToFileURL(path.join(place, 'node_modules/http-cache-tests/tests', file)))).default
const suites = [...await read('index.mjs'), await read('surrogate-control.mjs')]
const results = JSON.parse(fs.readFileSync(path.join(place, 'results.json')))
const expected = new Set(fs.readFileSync(known, 'utf8').split('\n').map(line => line.split('#')[0].trim()).filter(Boolean))
const counts = { required: [0, 0], optimal: [0, 0] }
const wrong = []
for (const test of new Set(suites.flatMap(suite => suite.tests))) {
  const kind = test.kind ?? 'required'
  if (test.browser_only || !(kind in counts)) continue
  const passed = results[test.id] === true
  counts[kind][0] += passed
  counts[kind][1] += 1
  if (passed === expected.has(test.id)) wrong.push(`${test.id}: ${passed ? 'passes now' : JSON.stringify(results[test.id])}`)
}
for (const [kind, [passed, all]] of Object.entries(counts)) console.log(`${kind} ${passed} of ${all}`)
wrong.forEach(line => console.log(`not as known: ${line}`))
process.exitCode = wrong.length ? 1 : 0
