// What SvelteKit's `$app/paths` says in an app at the root of its site.
export const base = ''
