// The components' types, which need a resolution that knows `.svelte`, as bundlers have it. Never run.

import type { Component, ComponentProps } from 'svelte';
import { RefreshTokenButton, SignIn, SignOut } from 'perennial-sveltekit/components';

const button: Component<ComponentProps<typeof RefreshTokenButton>> = RefreshTokenButton;
const props: ComponentProps<typeof RefreshTokenButton> = { authPath: '/auth', onrefreshed: ({ generation }) => generation.toFixed() };
// @ts-expect-error A provider is needed.
const noProvider: ComponentProps<typeof SignIn> = {};
const out: ComponentProps<typeof SignOut> = { callbackUrl: '/' };
export { button, noProvider, out, props };
