// nginx, from Debian: the app that all subjects stand before, a plain reverse proxy without any sign-in, and one that asks us.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { Program, freePort, temporaryFolder } from '../../e2e/support/processes.mjs'

/** Bytes of the answers, by the name in their path. */
export const BODIES = { '100': 100, '10k': 10 << 10, '1m': 1 << 20 }

class Nginx {
  static async run(name, servers, { health }) {
    const self = new Nginx()
    self.folder = temporaryFolder()
    for (const one of ['client', 'proxy', 'other']) mkdirSync(path.join(self.folder, one))
    const file = path.join(self.folder, 'nginx.conf')
    writeFileSync(file, configuration(servers(self.folder)))
    self.program = new Program(`bench-${name}`, 'nginx', ['-p', self.folder, '-c', file])
    await self.program.ready(health)
    self.pids = [self.program.pid]
    self.stop = () => self.program.stop()
    return self
  }
}

const configuration = (servers) => `
daemon off;
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes auto;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=16;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_body_temp_path client;
  proxy_temp_path proxy;
  fastcgi_temp_path other;
  uwsgi_temp_path other;
  scgi_temp_path other;
  # What does not fit into the buffers waits for its reader; it is not written to the disk.
  proxy_max_temp_file_size 0;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  ${servers}
}
`

const upstreamOf = (address) => `
  upstream app {
    server ${address};
    keepalive 512;
    keepalive_requests 1000000000;
  }`

/** The app: answers of three sizes at `/body/NAME`, to everybody. */
export async function startApp() {
  const port = await freePort()
  const app = await Nginx.run('app', (folder) => {
    mkdirSync(path.join(folder, 'body'))
    for (const [name, bytes] of Object.entries(BODIES)) writeFileSync(path.join(folder, 'body', name), 'x'.repeat(bytes))
    return `server {
      listen 127.0.0.1:${port} backlog=4096;
      root ${folder};
      location = /body/100 { return 200 "${'x'.repeat(BODIES['100'])}"; }
    }`
  }, { health: `http://127.0.0.1:${port}/body/100` })
  return Object.assign(app, { address: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` })
}

/** Without any sign-in: what all others are compared with. */
export async function startPlain({ app, tls }) {
  const port = await freePort()
  const listen = `listen 127.0.0.1:${port} ${tls ? 'ssl ' : ''}backlog=4096; ${tls ? certificate(tls) : ''}`
  const health = await freePort()
  const plain = await Nginx.run('plain', () => `${upstreamOf(app.address)}
    server { ${listen} location / { proxy_pass http://app; } }
    server { listen 127.0.0.1:${health}; location / { return 200; } }`, { health: `http://127.0.0.1:${health}/` })
  return Object.assign(plain, { url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}` })
}

export const certificate = ({ certificate, key }) => `ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_session_cache shared:tls:1m;`

/** nginx that asks `gateway` about each request (`auth_request`), and passes on to it what is the gateway's own. */
export async function startAsking({ app, gateway, port, endpoint }) {
  const asking = await Nginx.run('asking', () => `${upstreamOf(app.address)}
    upstream gateway { server ${gateway.address}; keepalive 512; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port} backlog=4096;
      proxy_set_header Host $http_host;
      location /auth/ { proxy_pass http://gateway; }
      location = /_session {
        internal;
        proxy_pass http://gateway${endpoint};
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Method $request_method;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Uri $request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Original-URI $request_uri;
      }
      location / {
        auth_request /_session;
        auth_request_set $bearer $upstream_http_authorization;
        auth_request_set $renewed $upstream_http_set_cookie;
        add_header Set-Cookie $renewed;
        proxy_set_header Authorization $bearer;
        proxy_set_header Connection "";
        proxy_pass http://app;
      }
      location = /healthy { return 200; }
    }`, { health: `http://127.0.0.1:${port}/healthy` })
  return Object.assign(asking, { url: `http://127.0.0.1:${port}` })
}

/** A certificate for the loopback address that nobody has to trust: wrk looks at none. */
export function selfSigned() {
  const folder = temporaryFolder()
  const [certificate, key] = ['certificate.pem', 'key.pem'].map((name) => path.join(folder, name))
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', key, '-out', certificate,
  ], { stdio: 'ignore' })
  return { certificate, key }
}
