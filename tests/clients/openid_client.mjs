// A person logs in with openid-client: password, then the code that is asked for, then the token.
//
// usage: openid_client.mjs TOKEN_URL API_URL USERNAME PASSWORD CODE ISSUER ID_TOKEN_ALG
//
// The client knows nothing of the gateway but its header: a 4xx with X-Drupal-TFA asks for a code.
// Prints one JSON object: the challenge as the library showed it, and what the API answered to the token.

import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto; // Node 18, which is Debian 12's

const client = await import('openid-client');
const [tokenUrl, apiUrl, username, password, code, issuer, alg] = process.argv.slice(2);

const config = new client.Configuration(
  { issuer, token_endpoint: tokenUrl },
  'testclient',
  { client_secret: 'testpass', id_token_signed_response_alg: alg },
  client.ClientSecretBasic('testpass'),
);
client.allowInsecureRequests(config);

let presented;
config[client.customFetch] = (url, options) => {
  const headers = new Headers(options.headers);
  if (presented) headers.set('X-Drupal-TFA', presented);
  return fetch(url, { ...options, headers });
};

const grant = () => client.genericGrantRequest(config, 'password', { username, password, scope: 'openid basic' });

const report = {};
let tokens;
try {
  tokens = await grant();
} catch (e) {
  report.challenge = {
    type: e.constructor.name,
    error: e.error,
    error_description: e.error_description,
    status: e.status,
    header: e.response?.headers.get('x-drupal-tfa') ?? null,
  };
  if (!(e.status >= 400 && e.status < 500 && report.challenge.header)) {
    console.log(JSON.stringify(report));
    throw e;
  }
  presented = code;
  tokens = await grant();
}

report.token_type = tokens.token_type;
report.access_token_length = tokens.access_token.length;
report.api_status = (await client.fetchProtectedResource(config, tokens.access_token, new URL(apiUrl), 'GET')).status;
console.log(JSON.stringify(report));
