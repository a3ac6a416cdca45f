// Statements as the gateway makes them, and as it would not.

import { createHash, generateKeyPairSync, sign } from 'node:crypto';

export const NOW = 1_800_000_000;
export const ISSUER = 'https://app.example';
export const AUDIENCE = 'http://127.0.0.1:3000';
export const TOKEN = 'the-access-token';

export const hash = (token) => createHash('sha256').update(token).digest('base64url');
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export const gateway = generateKeyPairSync('ed25519');
export const stranger = generateKeyPairSync('ed25519');

export const goodHeader = { alg: 'EdDSA', kid: 'k1', typ: 'perennial-identity+jwt' };

export const goodClaims = {
	iss: ISSUER,
	aud: AUDIENCE,
	iat: NOW,
	exp: NOW + 30,
	jti: 'one',
	htm: 'GET',
	htu: `${AUDIENCE}/account`,
	sub: 'alice',
	sid: 'f00d',
	provider: 'oidc',
	session: { user: { name: 'Alice' }, expires: '2030-01-01T00:00:00.000Z' },
	generation: 7,
	expires_at: NOW + 300,
	condition: 'fresh',
	ath: hash(TOKEN)
};

/** A statement; whatever differs from a good one is given. */
export function statement({ header = {}, claims = {}, key = gateway.privateKey } = {}) {
	const signed = `${encoded({ ...goodHeader, ...header })}.${encoded({ ...goodClaims, ...claims })}`;
	return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`;
}
