// nginx, from Debian: the app that all subjects stand before, and a plain reverse proxy without any sign-in.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { Program, freePort, temporaryFolder } from '../../e2e/support/processes.mjs'
import { endWithUs } from '../machine.mjs'

/** Bytes of the answers, by the name in their path. */
export const BODIES = { '100': 100, '10k': 10 << 10, '1m': 1 << 20 }

/** nginx in a folder of its own, with the configuration that `text` makes when it is told which. */
export class Nginx {
  static async run(name, text, { health }) {
    const self = new Nginx()
    self.folder = temporaryFolder()
    for (const one of ['client', 'proxy', 'other']) mkdirSync(path.join(self.folder, one))
    const file = path.join(self.folder, 'nginx.conf')
    writeFileSync(file, `daemon off;\nerror_log stderr warn;\n${process.getuid() === 0 ? 'user root;\n' : ''}${text(self.folder)}`)
    self.program = new Program(`bench-${name}`, 'nginx', ['-p', self.folder, '-c', file])
    endWithUs(self.program.pid)
    await self.program.ready(health)
    self.pids = [self.program.pid]
    self.stop = () => self.program.stop()
    return self
  }
}

/** Nothing outside of its folder is written to. */
export const IN_A_FOLDER = `access_log off;
  client_body_temp_path client;
  proxy_temp_path proxy;
  fastcgi_temp_path other;
  uwsgi_temp_path other;
  scgi_temp_path other;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  # What does not fit into the buffers waits for its reader; it is not written to the disk.
  proxy_max_temp_file_size 0;`

const configuration = (servers) => `
worker_processes auto;
pid nginx.pid;
events { worker_connections 8192; }
http {
  ${IN_A_FOLDER}
  sendfile on;
  tcp_nopush on;
  open_file_cache max=16;
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
    return configuration(`server {
      listen 127.0.0.1:${port} backlog=4096;
      root ${folder};
      location = /body/100 { return 200 "${'x'.repeat(BODIES['100'])}"; }
    }`)
  }, { health: `http://127.0.0.1:${port}/body/100` })
  return Object.assign(app, { address: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` })
}

/** Without any sign-in: what all others are compared with. */
export async function startPlain({ app, tls }) {
  const port = await freePort()
  const listen = `listen 127.0.0.1:${port} ${tls ? 'ssl ' : ''}backlog=4096; ${tls ? certificate(tls) : ''}`
  const health = await freePort()
  const plain = await Nginx.run('plain', () => configuration(`${upstreamOf(app.address)}
    server { ${listen} location / { proxy_pass http://app; } }
    server { listen 127.0.0.1:${health}; location / { return 200; } }`), { health: `http://127.0.0.1:${health}/` })
  return Object.assign(plain, { url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}` })
}

export const certificate = ({ certificate, key }) => `ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_session_cache shared:tls:1m;`

/** A certificate for the loopback address that is its own authority; wrk looks at none. */
export function selfSigned() {
  const folder = temporaryFolder()
  const [certificate, key] = ['certificate.pem', 'key.pem'].map((name) => path.join(folder, name))
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', key, '-out', certificate,
  ], { stdio: 'ignore' })
  return { certificate, key }
}
