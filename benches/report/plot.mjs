// Bars in SVG, for a light and for a dark page. Values span orders of magnitude, so that the axis is logarithmic and says so.

import { plain } from './numbers.mjs'

const THEMES = {
  light: { text: '#1f2933', faint: '#7b8794', line: '#e4e7eb', ours: '#0f766e', theirs: '#94a3b8' },
  dark: { text: '#e5e7eb', faint: '#9ca3af', line: '#374151', ours: '#2dd4bf', theirs: '#64748b' },
}
const [WIDTH, LEFT, RIGHT, TOP, ROW, BAR] = [760, 210, 90, 56, 34, 20]

/** `rows`: `{ label, ours, median, least, greatest, unit }`. */
export function bars({ title, theme, rows }) {
  const color = THEMES[theme]
  const [low, high] = [Math.floor(Math.log10(Math.min(...rows.map(({ least }) => least)))), Math.ceil(Math.log10(Math.max(...rows.map(({ greatest }) => greatest))))]
  const x = (value) => LEFT + ((Math.log10(value) - low) / (high - low)) * (WIDTH - LEFT - RIGHT)
  const height = TOP + rows.length * ROW + 34
  const text = (at, y, words, rest = '') => `<text x="${at.toFixed(1)}" y="${y}" ${rest}>${escaped(words)}</text>`
  const decades = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index))
  const grid = decades.map((value) => `<line x1="${x(value).toFixed(1)}" x2="${x(value).toFixed(1)}" y1="${TOP - 8}" y2="${height - 30}" stroke="${color.line}"/>${text(x(value), height - 14, value.toLocaleString('en-US'), `text-anchor="middle" fill="${color.faint}" font-size="11"`)}`)
  const bodies = rows.map(({ label, ours, median, least, greatest, unit }, index) => {
    const y = TOP + index * ROW
    const middle = y + BAR / 2
    return [
      text(LEFT - 10, middle + 4, label, `text-anchor="end" fill="${color.text}"${ours ? ' font-weight="600"' : ''}`),
      `<rect x="${LEFT}" y="${y}" width="${Math.max(1, x(median) - LEFT).toFixed(1)}" height="${BAR}" rx="3" fill="${ours ? color.ours : color.theirs}"/>`,
      `<line x1="${x(least).toFixed(1)}" x2="${x(greatest).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="${color.text}" stroke-width="1.5"/>`,
      text(x(greatest) + 8, middle + 4, `${plain(median)} ${unit}`, `fill="${color.text}"`),
    ].join('')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}" font-family="system-ui, sans-serif" font-size="13">
<title>${escaped(title)}</title>
${text(10, 24, title, `fill="${color.text}" font-size="16" font-weight="600"`)}
${text(WIDTH - 10, 24, 'logarithmic; median, least and greatest', `text-anchor="end" fill="${color.faint}" font-size="11"`)}
${grid.join('\n')}
${bodies.join('\n')}
</svg>
`
}

const escaped = (words) => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
