//! Messages as signed datagrams.

use core::{fmt, ops::Deref};

use heapless::Vec;

use crate::{Identity, Message, PeerId};

/// The most bytes in one datagram: passes any link that carries IPv6 without being cut into pieces.
pub const MAX_DATAGRAM: usize = 1_200;

/// What every datagram begins with. It is signed, so that nothing signed here means anything elsewhere.
const LABEL: &[u8; 15] = b"steadfast stash";
const VERSION: u8 = 1;
const SIGNATURE: usize = 64;

/// A message whose signature and destination were checked. Only [`open`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified<'a>(Message<'a>);

impl<'a> Deref for Verified<'a> {
    type Target = Message<'a>;

    fn deref(&self) -> &Message<'a> {
        &self.0
    }
}

/// A datagram that [`open`] takes, as it came: to be handed on and read elsewhere, without checking it again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened(Vec<u8, MAX_DATAGRAM>);

impl Opened {
    /// Checks a datagram as [`open`] does, and keeps it.
    ///
    /// # Errors
    ///
    /// Those of [`open`].
    pub fn new(datagram: &[u8], me: &PeerId) -> Result<Self, WireError> {
        open(datagram, me)?;
        Vec::from_slice(datagram).map(Self).map_err(|_longer| WireError::TooLong)
    }

    /// The message in it, which is always there.
    #[must_use]
    pub fn message(&self) -> Option<Verified<'_>> {
        Some(Verified(read(&self.0).ok()?.message))
    }
}

/// Writes `message` as a datagram into `buffer`, signed by `identity`, whatever sender it names.
///
/// # Errors
///
/// [`WireError::TooLong`], which no message of this crate's types can reach. The buffer then holds no datagram.
pub fn seal<'b>(
    message: &Message<'_>,
    identity: &Identity,
    buffer: &'b mut [u8; MAX_DATAGRAM],
) -> Result<&'b [u8], WireError> {
    let end = write(message, identity, buffer).ok_or(WireError::TooLong)?;
    buffer.get(..end).ok_or(WireError::TooLong)
}

fn write(message: &Message<'_>, identity: &Identity, buffer: &mut [u8; MAX_DATAGRAM]) -> Option<usize> {
    let (label, rest) = buffer.split_first_chunk_mut()?;
    *label = *LABEL;
    let (version, rest) = rest.split_first_mut()?;
    *version = VERSION;
    let payload = postcard::to_slice(message, rest).ok()?.len();
    let end = LABEL.len().checked_add(1)?.checked_add(payload)?;
    let (signed, rest) = buffer.split_at_mut_checked(end)?;
    *rest.first_chunk_mut::<SIGNATURE>()? = identity.sign(signed);
    end.checked_add(SIGNATURE)
}

/// Reads a datagram that arrived at the peer `me`.
///
/// Any bytes give a verified message or an error. The cheap checks come first, the signature last.
///
/// # Errors
///
/// Each [`WireError`]. The sender is known only if there is no error.
///
/// ```
/// use stash_protocol::{Body, Identity, Message, Name, wire};
///
/// let (alice, bob) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
/// let name = Name::new("alice").unwrap();
/// let hello = Message { from: alice.id(), to: None, id: 1, in_reply_to: None, cookie: 0, body: Body::Refresh { name } };
///
/// let mut buffer = [0; wire::MAX_DATAGRAM];
/// let datagram = wire::seal(&hello, &alice, &mut buffer).unwrap();
/// assert_eq!(wire::open(datagram, &bob.id()).unwrap().from, alice.id());
///
/// let forged = wire::seal(&hello, &bob, &mut buffer).unwrap(); // alice's name, bob's key
/// assert_eq!(wire::open(forged, &bob.id()), Err(wire::WireError::BadSignature));
/// ```
pub fn open<'a>(datagram: &'a [u8], me: &PeerId) -> Result<Verified<'a>, WireError> {
    let Parts { message, signed, signature } = read(datagram)?;
    let for_me = match message.to {
        Some(to) => to == *me,
        None => message.body.may_greet(),
    };
    if !for_me || message.from == *me {
        return Err(WireError::WrongDestination);
    }
    if !message.from.verifies(signed, signature) {
        return Err(WireError::BadSignature);
    }
    Ok(Verified(message))
}

/// A datagram whose signature is not checked yet.
struct Parts<'a> {
    message: Message<'a>,
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE],
}

fn read(datagram: &[u8]) -> Result<Parts<'_>, WireError> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(WireError::TooLong);
    }
    let (signed, signature) = datagram.split_last_chunk::<SIGNATURE>().ok_or(WireError::Malformed)?;
    let (version, payload) =
        signed.strip_prefix(LABEL).and_then(|rest| rest.split_first()).ok_or(WireError::Malformed)?;
    if *version != VERSION {
        return Err(WireError::Version(*version));
    }
    let Ok((message, [])) = postcard::take_from_bytes::<Message<'_>>(payload) else {
        return Err(WireError::Malformed);
    };
    if message.body.is_reply() != message.in_reply_to.is_some() {
        return Err(WireError::Malformed);
    }
    Ok(Parts { message, signed, signature })
}

/// Why some bytes are not a message for this peer. They are to be counted and dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WireError {
    /// The signature is not the sender's signature of these bytes.
    BadSignature,
    /// Not a datagram of this protocol, cut short, or with something left over.
    Malformed,
    /// More than [`MAX_DATAGRAM`] bytes.
    TooLong,
    /// Another version of the protocol: this one.
    Version(u8),
    /// Meant for another peer, or sent by this one.
    WrongDestination,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSignature => f.write_str("the signature is not the sender's"),
            Self::Malformed => f.write_str("not a stash datagram"),
            Self::TooLong => write!(f, "more than {MAX_DATAGRAM} bytes"),
            Self::Version(version) => write!(f, "protocol version {version}, this peer speaks {VERSION}"),
            Self::WrongDestination => f.write_str("meant for another peer"),
        }
    }
}

impl core::error::Error for WireError {}
