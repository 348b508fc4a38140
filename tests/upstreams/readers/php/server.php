<?php
// Reads whatever comes as loosely as anything on PHP may: each of $_POST, $_GET, $_REQUEST and the body taken
// for a form and for JSON, whatever its type and the method. Appends what it understood to READER_DIR/readings.jsonl
// and gives a token for every password grant among it.
declare(strict_types=1);

/** Letters that a case- and accent-insensitive collation equates. */
function fold(string $s): string
{
    $plain = ['á' => 'a', 'ä' => 'a', 'Á' => 'a', 'é' => 'e', 'è' => 'e', 'É' => 'e', 'í' => 'i', 'ı' => 'i',
        'ó' => 'o', 'ö' => 'o', 'Ó' => 'o', 'Ö' => 'o', 'ø' => 'o', "\u{301}" => '', "\u{200b}" => '', "\u{a0}" => ' '];
    foreach (range('a', 'z') as $i => $letter) { // full width
        $plain[mb_chr(0xFF21 + $i)] = $plain[mb_chr(0xFF41 + $i)] = $letter;
    }
    return trim(strtolower(strtr($s, $plain)));
}

/** What a router leaves of a path: leading segments, without parameters, suffixes and detours. */
function is_endpoint(string $path): bool
{
    $kept = [];
    foreach (explode('/', str_replace('\\', '/', fold(explode("\0", $path)[0]))) as $segment) {
        $segment = trim(explode(';', $segment)[0]);
        if ($segment === '..') {
            array_pop($kept);
        } elseif ($segment !== '' && $segment !== '.') {
            $kept[] = trim(explode('.', $segment)[0]);
        }
    }
    // A site may live in a directory, behind index.php or a language; what follows is an argument.
    return str_contains('/' . implode('/', $kept) . '/', '/oauth2/token/');
}

/** %uXXXX, which Windows' http.sys takes in paths. */
function without_percent_u(string $s): string
{
    return preg_replace_callback('/%u([0-9a-f]{4})/i', fn ($m) => mb_chr(hexdec($m[1])) ?: '', $s);
}

/**
 * The paths that something on PHP routes by: `q`; headers of IIS's; the target, decoded once or more, with `+` for
 * a space as Drupal 7 has it; and the `q` that a rewrite rule makes of it (`^/(.*)$ /index.php?q=$1`).
 */
function paths(): array
{
    $path = preg_replace('/[?#].*$/s', '', preg_replace('#^https?://[^/?\#]*#i', '', $_SERVER['REQUEST_URI']));
    $paths = [$_GET['q'] ?? null, $_SERVER['HTTP_X_ORIGINAL_URL'] ?? null, $_SERVER['HTTP_X_REWRITE_URL'] ?? null];
    for ($times = 0; $times < 4; $times++) {
        preg_match_all('/(?:^|&)q=([^&]*)/', "q=$path", $rewritten);
        array_push($paths, $path, urldecode($path), urldecode(end($rewritten[1])));
        $path = rawurldecode(without_percent_u($path));
    }
    return array_filter($paths, 'is_string');
}

/** The first text in a value: some take `username[]` for `username`. */
function text(mixed $value): ?string
{
    while (is_array($value)) {
        $value = reset($value);
    }
    return is_scalar($value) ? (string) $value : null;
}

$readings = [];
if (array_filter(paths(), 'is_endpoint') !== []) {
    $body = (string) file_get_contents('php://input');
    $json = json_decode(preg_replace('/^\xEF\xBB\xBF/', '', $body), true);
    // As frameworks do for the methods of which PHP makes no $_POST; what is declared JSON is nobody's form.
    parse_str(stripos($_SERVER['CONTENT_TYPE'] ?? '', 'json') === false ? $body : '', $form);
    foreach ([$_POST, $_GET, $_REQUEST, $form, is_array($json) ? $json : []] as $parameters) {
        $username = text($parameters['username'] ?? null);
        if (fold(text($parameters['grant_type'] ?? null) ?? '') === 'password' && $username !== null) {
            $readings[] = ['endpoint' => true, 'grant_type' => text($parameters['grant_type']),
                'username' => $username, 'password' => text($parameters['password'] ?? null)];
        }
    }
}
$line = json_encode([
    'host' => $_SERVER['HTTP_HOST'] ?? null,
    'method' => $_SERVER['REQUEST_METHOD'],
    'target' => $_SERVER['REQUEST_URI'],
    'understood' => array_values(array_unique($readings, SORT_REGULAR)),
], JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
file_put_contents(getenv('READER_DIR') . '/readings.jsonl', "$line\n", FILE_APPEND | LOCK_EX);

http_response_code($readings === [] ? 404 : 200);
header('Content-Type: application/json');
echo json_encode($readings === [] ? ['error' => 'not_found'] : ['access_token' => bin2hex(random_bytes(16)), 'token_type' => 'Bearer']);
