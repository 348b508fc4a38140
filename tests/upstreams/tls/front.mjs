// TLS in front of a plain upstream: front.mjs CERTIFICATE KEY PORT. Prints READY and its own port.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createServer } from 'node:tls';

const [certificate, key, port] = process.argv.slice(2);
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (client) => {
  const upstream = connect(Number(port), '127.0.0.1');
  client.pipe(upstream).pipe(client);
  for (const [one, other] of [[client, upstream], [upstream, client]]) one.on('error', () => other.destroy());
});
server.on('tlsClientError', () => {});
server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`));
