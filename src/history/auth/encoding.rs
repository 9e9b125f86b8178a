//! Base64 as JWT libraries write it. The standard has the URL-safe alphabet without padding (RFC
//! 7515); an example of Ably's has the other one, padded (Ably docs, "Capabilities", PHP).

use base64::Engine;

use crate::ably::BASE64;

/// Bytes of base64 text, of either alphabet, padded or not.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace('-', "+").replace('_', "/")).ok()
}

/// Text of base64 text.
pub(in crate::history) fn decode_text(text: &str) -> Option<String> {
    String::from_utf8(decode(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_are_read_with_and_without_padding() {
        for text in ["+/8=", "+/8", "-_8=", "-_8", "+_8"] {
            assert_eq!(decode(text), Some(vec![0xfb, 0xff]), "{text}");
        }
        assert_eq!(decode_text("-_8"), None);
        assert_eq!((decode("a.b"), decode("a")), (None, None));
    }
}
