//! How Drupal 7's tfa kept what it kept: AES in CBC mode, base64 around it.
//!
//! Two layouts (`TfaBasePlugin` in `tfa.inc` of tfa 7.x-2.x):
//! - with OpenSSL (2.1 and later): JSON of `version`, `iv_base64` and `ciphertext_base64`; AES-256-CBC, PKCS #7; the
//!   key is the first 32 bytes of the site's, filled up with zeros;
//! - with mcrypt (before that): 16 bytes of initialisation vector, then AES-CBC of `<length>|<text>`, filled up with
//!   zeros. mcrypt takes AES-256 for a key of 32 bytes (and AES-128 or AES-192 for one that is at most 16 or 24 bytes
//!   long); the module's own OpenSSL reading of such data takes AES-128 with the first 16 bytes. All are tried.
//!
//! Neither is authenticated: a wrong key is told by the padding or the length, and by what the text must be.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::{
    BlockModeDecrypt, InnerIvInit, KeyInit, KeyIvInit as _,
    block_padding::{NoPadding, Padding, Pkcs7},
};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::types::Secret;

const IV_BYTES: usize = 16;

/// The key with which the site encrypted: `tfa_basic_secret_key`, or else the private key of Drupal.
#[derive(Debug, Clone)]
pub struct DrupalKey(Secret<Vec<u8>>);

#[derive(Deserialize)]
struct OpenSsl {
    iv_base64: String,
    ciphertext_base64: String,
}

impl DrupalKey {
    /// As it stands in a file: white space around it does not count. `None` if there is nothing.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        (!text.is_empty()).then(|| Self(Secret::new(text.to_vec())))
    }

    /// The bytes that a cipher takes, filled up with zeros.
    fn bytes<const N: usize>(&self) -> Zeroizing<[u8; N]> {
        let mut bytes = Zeroizing::new([0; N]);
        let length = self.0.expose().len().min(N);
        bytes[..length].copy_from_slice(&self.0.expose()[..length]);
        bytes
    }

    /// What it can have been, the likeliest first. Empty if this key does not fit.
    pub(super) fn decrypt(&self, stored: &str) -> Vec<Zeroizing<Vec<u8>>> {
        let Ok(bytes) = data_encoding::BASE64.decode(stored.trim().as_bytes()) else { return Vec::new() };
        if let Ok(found) = serde_json::from_slice::<OpenSsl>(&bytes) {
            let decode = |text: &str| data_encoding::BASE64.decode(text.as_bytes());
            let (Ok(iv), Ok(ciphertext)) = (decode(&found.iv_base64), decode(&found.ciphertext_base64))
            else {
                return Vec::new();
            };
            return cbc::<Aes256, 32, Pkcs7>(&self.bytes(), &iv, &ciphertext).into_iter().collect();
        }
        let Some((iv, ciphertext)) = bytes.split_at_checked(IV_BYTES) else { return Vec::new() };
        let by_mcrypt = match self.0.expose().len() {
            0..=16 => None,
            17..=24 => cbc::<Aes192, 24, NoPadding>(&self.bytes(), iv, ciphertext),
            _ => cbc::<Aes256, 32, NoPadding>(&self.bytes(), iv, ciphertext),
        };
        let by_openssl = cbc::<Aes128, 16, NoPadding>(&self.bytes(), iv, ciphertext);
        [by_mcrypt, by_openssl].into_iter().flatten().filter_map(|text| measured(&text)).collect()
    }
}

fn cbc<C, const N: usize, P: Padding>(
    key: &[u8; N],
    iv: &[u8],
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>>
where
    C: KeyInit + cbc::cipher::BlockCipherDecrypt,
    cbc::Decryptor<C>: InnerIvInit<Inner = C> + BlockModeDecrypt,
{
    if ciphertext.is_empty() {
        return None;
    }
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let decryptor = cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?;
    let length = decryptor.decrypt_padded::<P>(&mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

/// `<length>|<text>` and zeros.
fn measured(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let bar = text.iter().take(8).position(|b| *b == b'|')?;
    let length: usize = std::str::from_utf8(&text[..bar]).ok()?.parse().ok()?;
    let (text, rest) = text[bar + 1..].split_at_checked(length)?;
    rest.iter().all(|b| *b == 0).then(|| Zeroizing::new(text.to_vec()))
}
