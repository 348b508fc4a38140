<?php
// A token endpoint as a legacy PHP site has it: the form as PHP parses it ($_POST) or JSON as
// oauth2-server-php reads it, routed as loosely as Drupal 7 does, with people found as loosely as
// MariaDB finds them. It is meant to be the worst upstream that a gateway can stand in front of.
// Every request is appended to FIXTURE_DIR/requests.jsonl with what was understood of it.
declare(strict_types=1);

const LONG_PASSWORD = 'pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp'
    . 'pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp';
const PEOPLE = [
    // Several passwords: the request cases use passwords that are awkward on the wire.
    'alice' => ['passw0rd', 'secret', 'sec=ret', 'sec;ret', ' secret ', LONG_PASSWORD],
    'bob' => ['hunter22', 'secret'],
    'jose' => ['secret'],
    'alice+tag@example.com' => ['secret'],
    'alice0' => ['passw0rd'], 'alice1' => ['passw0rd'], 'alice2' => ['passw0rd'], 'alice3' => ['passw0rd'],
];
const ADDRESSES = ['alice@example.com' => 'alice', 'bob@example.com' => 'bob'];
// Clients and their secrets; '' is a public client.
const CLIENTS = ['testclient' => 'testpass', 'conf' => 's3', 'cli' => '', 'gateway' => 'gatewaypass'];

/** What utf8_general_ci and its kin take for the same letters. */
function fold(string $s): string
{
    static $map = null;
    if ($map === null) {
        $map = ['á' => 'a', 'à' => 'a', 'ä' => 'a', 'Á' => 'a', 'é' => 'e', 'è' => 'e', 'É' => 'e',
            'í' => 'i', 'ı' => 'i', 'İ' => 'i', 'ó' => 'o', 'ö' => 'o', 'Ó' => 'o', 'Ö' => 'o',
            'ç' => 'c', "\u{301}" => '', "\u{200b}" => '', "\u{a0}" => ' '];
        for ($i = 0; $i < 26; $i++) { // full width
            $map[iconv('UTF-32BE', 'UTF-8', pack('N', 0xFF21 + $i))] = chr(97 + $i);
            $map[iconv('UTF-32BE', 'UTF-8', pack('N', 0xFF41 + $i))] = chr(97 + $i);
        }
    }
    return trim(strtolower(strtr($s, $map)));
}

/** Whether the request reaches the token endpoint: the path, or Drupal's ?q=, by its leading segments. */
function routed_to_token(): bool
{
    $q = $_GET['q'] ?? rawurldecode((string) preg_replace('/[?#].*$/s', '', preg_replace('#^https?://[^/?]*#i', '', $_SERVER['REQUEST_URI'])));
    if (!is_string($q)) {
        return false;
    }
    $kept = [];
    foreach (explode('/', fold(explode("\0", $q)[0])) as $segment) {
        $segment = trim(explode(';', $segment)[0]);
        if ($segment === '..') {
            array_pop($kept);
        } elseif ($segment !== '' && $segment !== '.') {
            $kept[] = $segment;
        }
    }
    return array_slice($kept, 0, 2) === ['oauth2', 'token'];
}

/** The parameters: $_POST, or for a JSON media type the decoded body, as oauth2-server-php does it. */
function parameters(string $body): array
{
    $writes = in_array(strtoupper($_SERVER['REQUEST_METHOD']), ['POST', 'PUT', 'DELETE'], true);
    if ($writes && str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json')) {
        $decoded = json_decode($body, true);
        return is_array($decoded) ? $decoded : [];
    }
    return $_POST;
}

function record(array $request, array $more): void
{
    $line = json_encode($request + $more, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
    file_put_contents(getenv('FIXTURE_DIR') . '/requests.jsonl', "$line\n", FILE_APPEND | LOCK_EX);
}

function token_file(string $token): string
{
    return getenv('FIXTURE_DIR') . '/tokens/' . bin2hex(substr($token, 0, 60));
}

/** Grants, refuses, and says for whom: [status, answer, subject or null]. */
function grant(array $p): array
{
    $client = $_SERVER['PHP_AUTH_USER'] ?? $p['client_id'] ?? null;
    $secret = $_SERVER['PHP_AUTH_PW'] ?? $p['client_secret'] ?? '';
    if ($client === null) {
        return [400, ['error' => 'invalid_client', 'error_description' => 'Client credentials were not found in the headers or body'], null];
    }
    if (!is_string($client) || !is_string($secret) || (CLIENTS[$client] ?? null) !== $secret) {
        return [400, ['error' => 'invalid_client', 'error_description' => 'The client credentials are invalid'], null];
    }
    $refused = fn (string $why) => [400, ['error' => 'invalid_grant', 'error_description' => $why], null];
    switch ($p['grant_type'] ?? '') {
        case '':
            return [400, ['error' => 'invalid_request', 'error_description' => 'The grant type was not specified in the request'], null];
        case 'client_credentials':
            return $client === 'cli' ? [400, ['error' => 'unauthorized_client'], null] : issue(null, false);
        case 'authorization_code':
            return ($p['code'] ?? '') === 'abc' ? issue(null, true) : $refused('Authorization code does not exist');
        case 'api_token':
            return ($p['api_token'] ?? '') === 'x' ? issue(null, true) : $refused('Invalid API token');
        case 'refresh_token':
            $token = $p['refresh_token'] ?? null;
            $holder = is_string($token) && $token !== '' ? @file_get_contents(token_file("refresh:$token")) : false;
            if ($token !== 'x' && $holder === false) {
                return $refused('Invalid refresh token');
            }
            return issue($holder ?: null, false);
        case 'password':
            $typed = $p['username'] ?? null;
            $person = is_string($typed) ? fold($typed) : '';
            $person = ADDRESSES[$person] ?? $person;
            if (!in_array($p['password'] ?? null, PEOPLE[$person] ?? [], true)) {
                return [401, ['error' => 'invalid_grant', 'error_description' => 'Invalid username and password combination'], null];
            }
            return issue($person, true);
        default:
            return [400, ['error' => 'unsupported_grant_type', 'error_description' => 'Grant type not supported'], null];
    }
}

function issue(?string $subject, bool $refreshable): array
{
    $answer = ['access_token' => bin2hex(random_bytes(20)), 'expires_in' => 3600, 'token_type' => 'Bearer', 'scope' => 'basic'];
    if ($refreshable) {
        $answer['refresh_token'] = bin2hex(random_bytes(20));
        file_put_contents(token_file("refresh:{$answer['refresh_token']}"), (string) $subject);
    }
    file_put_contents(token_file($answer['access_token']), (string) $subject);
    return [200, $answer, $subject ?? ''];
}

/** The client that authenticated itself, in the header or in the form. */
function client_of(array $p): ?string
{
    $client = $_SERVER['PHP_AUTH_USER'] ?? $p['client_id'] ?? null;
    $secret = $_SERVER['PHP_AUTH_PW'] ?? $p['client_secret'] ?? '';
    return is_string($client) && is_string($secret) && (CLIENTS[$client] ?? null) === $secret ? $client : null;
}

/** Forgets a token; false if it is not known. */
function revoke(string $token): bool
{
    $access = @unlink(token_file($token));
    return @unlink(token_file("refresh:$token")) || $access;
}

/** The status that a test wants revocations to be answered with. */
function revocation_outage(): ?int
{
    $wanted = @file_get_contents(getenv('FIXTURE_DIR') . '/revocation_status');
    return $wanted === false ? null : (int) $wanted;
}

function answer(int $status, array $body): never
{
    $bytes = json_encode($body, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES);
    http_response_code($status);
    header('Content-Type: application/json');
    header('Cache-Control: no-store');
    header('Pragma: no-cache');
    if (str_contains($_SERVER['HTTP_ACCEPT_ENCODING'] ?? '', 'gzip')) {
        header('Content-Encoding: gzip');
        $bytes = gzencode($bytes);
    }
    header('Content-Length: ' . strlen($bytes));
    exit($bytes);
}

$body = (string) file_get_contents('php://input');
$request = [
    'method' => $_SERVER['REQUEST_METHOD'],
    'target' => $_SERVER['REQUEST_URI'],
    'headers' => getallheaders(),
    'body' => base64_encode($body),
    'post' => (object) parameters($body),
];
$path = strtok($_SERVER['REQUEST_URI'], '?');

if (routed_to_token()) {
    if (strtolower($_SERVER['REQUEST_METHOD']) !== 'post') {
        record($request, ['route' => 'token', 'status' => 405]);
        header('Allow: POST');
        answer(405, ['error' => 'invalid_request', 'error_description' => 'The request method must be POST']);
    }
    [$status, $answer, $subject] = grant(parameters($body));
    record($request, ['route' => 'token', 'status' => $status, 'issued_to' => $subject]);
    if ($status === 200) {
        // A site's own layer does this: it must not reach a client who still owes a code.
        header('Set-Cookie: SESS=upstream-session; path=/; HttpOnly');
        header('X-Upstream-Marker: from-upstream');
    }
    answer($status, $answer);
}
if ($path === '/oauth2/authorize' && isset($_GET['username'])) {
    // The implicit grant without a login page, as some sites have it.
    $_POST = ['grant_type' => 'password', 'client_id' => $_GET['client_id'] ?? 'cli'] + $_GET;
    [$status, $answer, $subject] = grant($_POST);
    record($request, ['route' => 'authorize', 'status' => $status, 'issued_to' => $subject]);
    $fragment = $status === 200 ? $answer : ['error' => 'access_denied'];
    header('Set-Cookie: SESS=upstream-session; path=/; HttpOnly');
    header('Location: https://app.test/cb#' . http_build_query($fragment + ['state' => $_GET['state'] ?? '']), true, 302);
    exit;
}
if (preg_match('#^/oauth2/tokens/([^/?]+)$#', $path, $m)) {
    $token = rawurldecode($m[1]);
    if ($_SERVER['REQUEST_METHOD'] === 'DELETE') { // a site's own way to revoke
        $status = revocation_outage() ?? (revoke($token) ? 200 : 404);
        record($request, ['route' => 'token_delete', 'status' => $status]);
        answer($status, []);
    }
    $holder = @file_get_contents(token_file($token));
    record($request, ['route' => 'token_info']);
    answer($holder === false ? 404 : 200, $holder === false ? ['error' => 'not_found'] : ['client_id' => 'testclient', 'user_id' => $holder, 'access_token' => $m[1], 'scope' => 'basic']);
}
if ($path === '/oauth2/revoke') { // RFC 7009
    $status = revocation_outage() ?? (client_of($_POST) === null ? 401 : 200);
    record($request, ['route' => 'revoke', 'status' => $status]);
    if ($status === 200) {
        revoke((string) ($_POST['token'] ?? '')); // one that is not known is revoked already (section 2.2)
    }
    $errors = [400 => 'unsupported_token_type', 401 => 'invalid_client'];
    answer($status, isset($errors[$status]) ? ['error' => $errors[$status]] : []);
}
record($request, ['route' => 'echo']);
answer(200, ['echo' => $request]);
