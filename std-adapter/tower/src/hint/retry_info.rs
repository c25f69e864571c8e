//! `google.rpc.RetryInfo` in the details of a gRPC status.

use core::time::Duration;

use http::HeaderMap;

use crate::answer::DETAILS;

pub(super) fn find(headers: &HeaderMap) -> Option<Duration> {
    let status = decoded(headers.get(DETAILS)?.as_bytes())?;
    Fields(&status).filter(|(number, _)| *number == 3).find_map(|(_, detail)| {
        let detail = detail.bytes()?;
        let is_retry_info = field(detail, 1)?.bytes()?.ends_with(b"/google.rpc.RetryInfo");
        let delay = field(field(detail, 2)?.bytes()?, 1)?.bytes()?;
        let number = |of| field(delay, of).map_or(Some(0), Value::number);
        let (seconds, nanos) = (i64::try_from(number(1)?).ok()?, u32::try_from(number(2)?).ok()?);
        is_retry_info.then(|| Some(Duration::new(u64::try_from(seconds).ok()?, nanos.min(999_999_999))))?
    })
}

/// The bytes of base64, with or without padding.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.trim_ascii().split(|byte| *byte == b'=').next()?;
    let mut bytes = Vec::with_capacity(digits.len());
    for chunk in digits.chunks(4) {
        let mut bits = 0_u32;
        for (digit, shift) in chunk.iter().zip([18, 12, 6, 0]) {
            let value = match digit {
                b'A'..=b'Z' => digit.wrapping_sub(b'A'),
                b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(26),
                b'0'..=b'9' => digit.wrapping_sub(b'0').wrapping_add(52),
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return None,
            };
            bits |= u32::from(value) << shift;
        }
        bytes.extend(bits.to_be_bytes().into_iter().skip(1).take(chunk.len().checked_sub(1)?));
    }
    Some(bytes)
}

/// The fields of a message in protobuf, until one that is malformed.
struct Fields<'a>(&'a [u8]);

#[derive(Clone, Copy)]
enum Value<'a> {
    Bytes(&'a [u8]),
    Number(u64),
}

impl<'a> Value<'a> {
    const fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }

    const fn number(self) -> Option<u64> {
        match self {
            Self::Bytes(_) => None,
            Self::Number(number) => Some(number),
        }
    }
}

fn field(message: &[u8], number: u64) -> Option<Value<'_>> {
    Fields(message).find_map(|(of, value)| (of == number).then_some(value))
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}
