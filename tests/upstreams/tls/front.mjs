// In front of a plain upstream:
//   front.mjs CERTIFICATE KEY PORT [CLIENT_CA]   TLS; with CLIENT_CA for clients that show a certificate of it
//   front.mjs unix PATH PORT                     a socket of this machine
// Prints READY and its own port, or the path.
import { readFileSync } from 'node:fs';
import { connect, createServer as createPlain } from 'node:net';
import { createServer } from 'node:tls';

const [certificate, key, port, ca] = process.argv.slice(2);
const pass = (client) => {
  const upstream = connect(Number(port), '127.0.0.1');
  client.pipe(upstream).pipe(client);
  for (const [one, other] of [[client, upstream], [upstream, client]]) one.on('error', () => other.destroy());
};
if (certificate === 'unix') {
  createPlain(pass).listen(key, () => console.log(`READY ${key}`));
} else {
  const clients = ca ? { requestCert: true, rejectUnauthorized: true, ca: readFileSync(ca) } : {};
  const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key), ...clients }, pass);
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`));
}
