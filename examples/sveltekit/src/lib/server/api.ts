// A call to an API in the user's name.

import { createHash } from 'node:crypto';
import { env } from 'node:process';

/** What the API says to whoever holds `accessToken`, and four characters that tell one token from another. */
export async function whoami(accessToken: string): Promise<{ answer: string; fingerprint: string }> {
	const response = await fetch(env.UPSTREAM_API ?? 'http://127.0.0.1:4201/api', { headers: { authorization: `Bearer ${accessToken}` } });
	const fingerprint = createHash('sha256').update(accessToken).digest('hex').slice(0, 4);
	return { answer: response.ok ? 'The API knows you.' : `The API answered ${response.status}.`, fingerprint };
}
