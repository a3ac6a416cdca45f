// Forms that work with and without JavaScript.

export { default as RefreshTokenButton } from './RefreshTokenButton.svelte';
export { default as SignIn } from './SignIn.svelte';
export { default as SignOut } from './SignOut.svelte';
