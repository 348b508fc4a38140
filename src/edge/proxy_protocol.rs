//! The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): a load balancer says whose connection it is.
//!
//! Invariant: not a byte is read beyond the header, for what follows may be TLS.

use std::{io, net::SocketAddr};

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 that say how long the rest is.
const PREFIX_BYTES: usize = 16;
/// Bytes of a header of version 1, its line end included (section 2.1).
const V1_BYTES_MAX: usize = 107;
/// Bytes of a header of version 2; addresses and what proxies add stay far below.
const V2_BYTES_MAX: usize = 4096;

const PARSING: ParseConfig = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };

/// Reads a header. `None` where the proxy speaks for itself (`LOCAL`, for its own health checks), or cannot say for
/// whom (`UNKNOWN`).
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    // No header of either version is shorter.
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        header.resize(PREFIX_BYTES, 0);
        stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
        let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if length > V2_BYTES_MAX {
            return Err(invalid("it is too long"));
        }
        header.resize(PREFIX_BYTES + length, 0);
        stream.read_exact(&mut header[PREFIX_BYTES..]).await?;
    } else if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\r\n") {
            if header.len() == V1_BYTES_MAX {
                return Err(invalid("it has no end"));
            }
            header.push(stream.read_u8().await?);
        }
    } else {
        return Err(invalid("it is missing"));
    }
    let (parsed, length) =
        ProxyHeader::parse(&header, PARSING).map_err(|error| invalid(&error.to_string()))?;
    if length != header.len() {
        return Err(invalid("it is longer than it says"));
    }
    Ok(parsed.proxied_address().map(|address| address.source))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    fn read_all(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let mut rest = bytes;
        let runtime = Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(read(&mut rest));
        (found, rest.to_vec())
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, addresses].concat()
    }

    #[test]
    fn the_source_of_both_versions_is_found_and_nothing_beyond_is_read() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];
        let mut v6 = vec![0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        v6.extend([0; 16]);
        v6.extend([0x1f, 0x90, 0, 80]);
        let with_tlv = [&v4[..], &[0x04, 0, 1, 0]].concat();
        for (header, source) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n".to_vec(), Some("192.0.2.7:8080")),
            (b"PROXY TCP6 2001:db8::1 ::1 8080 80\r\n".to_vec(), Some("[2001:db8::1]:8080")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(1, 0x11, &v4), Some("192.0.2.7:8080")),
            (v2(1, 0x21, &v6), Some("[2001:db8::1]:8080")),
            (v2(1, 0x11, &with_tlv), Some("192.0.2.7:8080")),
            (v2(0, 0x00, &[]), None),
        ] {
            let (found, rest) = read_all(&[&header[..], b"GET /"].concat());
            assert_eq!(found.unwrap(), source.map(|text| text.parse().unwrap()), "{header:?}");
            assert_eq!(rest, b"GET /");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7\r\n\r\n\r\n".to_vec(),
            b"PROXY TCP4 ".iter().copied().chain([b'1'; 200]).collect(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080".to_vec(),
            v2(1, 0x11, &[192, 0, 2]),
            [&SIGNATURE[..], &[0x21, 0x11, 0x13, 0x87], &[0; 5_000]].concat(),
            v2(1, 0x11, &[1; 12])[..20].to_vec(),
        ] {
            assert!(read_all(&bytes).0.is_err(), "{bytes:?}");
        }
    }
}
