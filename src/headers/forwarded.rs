//! `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What is known of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a> {
    /// The peer of that connection.
    pub peer: IpAddr,
    /// Whether the peer is a proxy whose word is believed.
    pub is_trusted: bool,
    /// The `Host` that the client asked for.
    pub host: Option<&'a HeaderValue>,
}

/// Writes the fields into `headers`, which go upstream, from those `received`; `None`: they are the same
/// ones. From a trusted proxy the peer is appended to `X-Forwarded-For`, and the rest is believed; from
/// anyone else all of it is replaced, and other `X-Forwarded-*` (`-Prefix`, `-Ssl`, …) are removed.
pub fn set_forwarded(received: Option<&HeaderMap>, headers: &mut HeaderMap, forwarded: Forwarded<'_>) {
    let received = received.unwrap_or(headers);
    let believed = |name: &HeaderName| forwarded.is_trusted.then(|| received.get(name).cloned()).flatten();
    let peer = forwarded.peer.to_canonical();
    let mut chain = String::new();
    if forwarded.is_trusted {
        for line in received.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()) {
            chain.push_str(line);
            chain.push_str(", ");
        }
    }
    chain.push_str(&peer.to_string());
    let proto = believed(&X_FORWARDED_PROTO).unwrap_or_else(|| HeaderValue::from_static("http"));
    let host = believed(&X_FORWARDED_HOST).or_else(|| forwarded.host.cloned());
    let port = believed(&X_FORWARDED_PORT);
    let real_ip = believed(&X_REAL_IP);
    let standard = believed(&FORWARDED);
    for (name, value) in [
        (X_FORWARDED_FOR, HeaderValue::from_str(&chain).ok()),
        (X_FORWARDED_PROTO, Some(proto)),
        (X_FORWARDED_HOST, host),
        (X_FORWARDED_PORT, port),
        (X_REAL_IP, real_ip),
        (FORWARDED, standard),
    ] {
        match value {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        }
    }
    if !forwarded.is_trusted {
        remove_others(headers);
    }
}

/// Removes what some frameworks believe although it has no place in [`set_forwarded`].
fn remove_others(headers: &mut HeaderMap) {
    let ours = [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST];
    let is_other = |name: &&HeaderName| name.as_str().starts_with("x-forwarded-") && !ours.contains(name);
    let others: Vec<HeaderName> = headers.keys().filter(is_other).cloned().collect();
    for name in others {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
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
        set_forwarded(None, &mut headers, Forwarded { peer, is_trusted, host: Some(&host) });
        headers
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
