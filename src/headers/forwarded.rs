//! `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host that the client asked for.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether a field says how a request came: `X-Forwarded-*`, whatever follows (frameworks believe `-Prefix`, `-Ssl`
/// and more), `Forwarded`, `X-Real-IP` and its like.
fn is_forwarding(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-")
        || matches!(
            name,
            "forwarded" | "x-real-ip" | "x-client-ip" | "x-cluster-client-ip" | "true-client-ip"
        )
}

/// What is known of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a> {
    /// The peer of that connection.
    pub peer: IpAddr,
    /// Whether it came encrypted.
    pub is_tls: bool,
    /// Whether the peer is a proxy whose word is believed.
    pub is_trusted: bool,
    /// The `Host` that the client asked for.
    pub host: Option<&'a HeaderValue>,
}

/// Writes the fields for the next hop. From a trusted proxy the peer is appended to `X-Forwarded-For`, and the
/// rest is believed; from anyone else all of it is replaced.
pub fn set_forwarded(headers: &mut HeaderMap, forwarded: Forwarded<'_>) {
    let mut chain = Vec::new();
    if forwarded.is_trusted {
        for line in headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()) {
            chain.extend_from_slice(line.as_bytes());
            chain.extend_from_slice(b", ");
        }
    } else if headers.keys().any(is_forwarding) {
        let claimed: Vec<HeaderName> = headers.keys().filter(|name| is_forwarding(name)).cloned().collect();
        for name in claimed {
            headers.remove(name);
        }
    }
    push_address(&mut chain, forwarded.peer.to_canonical());
    match HeaderValue::try_from(chain) {
        Ok(chain) => drop(headers.insert(X_FORWARDED_FOR, chain)),
        Err(_) => drop(headers.remove(X_FORWARDED_FOR)),
    }
    let scheme = if forwarded.is_tls { "https" } else { "http" };
    headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(scheme));
    if let Some(host) = forwarded.host {
        headers.entry(X_FORWARDED_HOST).or_insert_with(|| host.clone());
    }
}

/// Writes an address as text. Of IPv4, which most are, by hand: it is written for each request.
fn push_address(text: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        text.extend_from_slice(address.to_string().as_bytes());
        return;
    };
    text.reserve_exact("255.255.255.255".len());
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
}

/// Copies the fields that [`set_forwarded`] has written or left, for a request that is made anew.
pub fn copy_forwarded(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from.iter().filter(|(name, _)| is_forwarding(name)) {
        to.append(name.clone(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use http::header::FORWARDED;

    use super::*;

    fn sent(is_trusted: bool) -> HeaderMap {
        let mut received = HeaderMap::new();
        received.append(X_FORWARDED_FOR, HeaderValue::from_static("203.0.113.7"));
        received.append(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.1"));
        received.append(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        received.append(X_FORWARDED_HOST, HeaderValue::from_static("public.example"));
        received.append("x-forwarded-prefix", HeaderValue::from_static("/app"));
        received.append(FORWARDED, HeaderValue::from_static("for=203.0.113.7"));
        let mut headers = received;
        let host = HeaderValue::from_static("gateway.example");
        let peer = "::ffff:10.0.0.2".parse().unwrap();
        set_forwarded(&mut headers, Forwarded { peer, is_tls: false, is_trusted, host: Some(&host) });
        headers
    }

    #[test]
    fn addresses_are_written_as_everybody_writes_them() {
        let octets = [0, 9, 10, 99, 100, 255].into_iter();
        let fours = octets.map(|octet| IpAddr::from([octet, 255 - octet, 0, octet]));
        for address in fours.chain(["2001:db8::1".parse().unwrap(), "::1".parse().unwrap()]) {
            let mut text = Vec::new();
            push_address(&mut text, address);
            assert_eq!(String::from_utf8(text).unwrap(), address.to_string());
        }
    }

    #[test]
    fn a_strangers_word_is_replaced() {
        let headers = sent(false);
        assert_eq!(headers.get_all(X_FORWARDED_FOR).iter().collect::<Vec<_>>(), ["10.0.0.2"]);
        assert_eq!(headers[X_FORWARDED_PROTO], "http");
        assert_eq!(headers[X_FORWARDED_HOST], "gateway.example");
        assert!(!headers.contains_key(FORWARDED));
        assert!(!headers.contains_key("x-forwarded-prefix"));
    }

    #[test]
    fn a_trusted_proxys_word_is_passed_on() {
        let headers = sent(true);
        let chain: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        assert_eq!(chain, ["203.0.113.7, 10.0.0.1, 10.0.0.2"]);
        assert_eq!(headers[X_FORWARDED_PROTO], "https");
        assert_eq!(headers[X_FORWARDED_HOST], "public.example");
        assert!(headers.contains_key(FORWARDED));
        assert_eq!(headers["x-forwarded-prefix"], "/app");
    }
}
