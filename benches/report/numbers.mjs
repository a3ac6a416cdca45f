// Numbers as people read them, and what is in the middle of several.

/** The one in the middle, the least and the greatest. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const half = (sorted.length - 1) / 2
  return { median: (sorted[Math.floor(half)] + sorted[Math.ceil(half)]) / 2, least: sorted[0], greatest: sorted.at(-1) }
}

/** 1234567 as 1,234,567; small ones with as many digits as say something. */
export function plain(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** The middle, with the least and the greatest beside it where they are others. */
export const spoken = ({ median, least, greatest }, say = plain) => (say(least) === say(greatest) ? say(median) : `${say(median)} (${say(least)}–${say(greatest)})`)

/** Rows under a head, as Markdown. */
export function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** The rows that have the same `key`, in the order in which the keys come. */
export function grouped(rows, key) {
  const groups = new Map()
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row])
  return groups
}
