// Apache with mod_auth_openidc, both from Debian, with sessions in shared memory as by default.

import { chmodSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { ARTIFACTS, Program, freePort, newSecret, temporaryFolder } from '../../e2e/support/processes.mjs'
import { endWithUs } from '../machine.mjs'

const MODULES = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'proxy', 'proxy_http', 'auth_openidc']
const FOLDER = '/usr/lib/apache2/modules'

export async function startApache({ app, provider, tls }) {
  const port = await freePort()
  const health = await freePort()
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`
  const folder = temporaryFolder()
  // Its children run as another user than root.
  chmodSync(folder, 0o755)
  const file = path.join(folder, 'apache.conf')
  writeFileSync(file, configuration({ folder, port, health, url, app, provider, tls }))
  const program = new Program('bench-apache', 'apache2', ['-f', file, '-DFOREGROUND'])
  endWithUs(program.pid)
  await program.ready(`http://127.0.0.1:${health}/`)
  return { url, pids: [program.pid], stop: () => program.stop() }
}

const configuration = ({ folder, port, health, url, app, provider, tls }) => `
ServerRoot ${folder}
ServerName 127.0.0.1
DefaultRuntimeDir ${folder}
PidFile ${folder}/apache.pid
ErrorLog ${path.resolve(ARTIFACTS, 'e2e/bench-apache-errors.log')}
LogLevel error
${[...MODULES, ...(tls ? ['ssl'] : [])].map((name) => `LoadModule ${name}_module ${FOLDER}/mod_${name}.so`).join('\n')}
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
Listen 127.0.0.1:${port}
Listen 127.0.0.1:${health}
ListenBacklog 4096
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 300
ThreadsPerChild 64
ServerLimit 16
MaxRequestWorkers 1024
AsyncRequestWorkerFactor 8
<VirtualHost 127.0.0.1:${health}>
  <Location "/">
    Require all granted
  </Location>
  ProxyPass "/" "${app.url}/body/100"
</VirtualHost>
<VirtualHost 127.0.0.1:${port}>
${tls ? `  SSLEngine on\n  SSLCertificateFile ${tls.certificate}\n  SSLCertificateKeyFile ${tls.key}` : ''}
  OIDCProviderMetadataURL ${provider.issuer}/.well-known/openid-configuration
  OIDCClientID ${provider.clientId}
  OIDCClientSecret "${provider.clientSecret}"
  OIDCRedirectURI ${url}/redirect_uri
  OIDCScope "openid profile email offline_access"
  OIDCCryptoPassphrase "${newSecret()}"
  OIDCSessionInactivityTimeout 36000
  OIDCPassRefreshToken Off
  OIDCPKCEMethod S256
  <Location "/">
    AuthType openid-connect
    Require valid-user
  </Location>
  ProxyPass "/redirect_uri" "!"
  ProxyPass "/" "${app.url}/"
</VirtualHost>
`
