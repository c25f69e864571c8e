//! Frames in, frames out.

use core::time::Duration;

use embassy_futures::select::{Either, select};
use stash_protocol::{
    serial::{self, BoardStats, Frame, MAX_FRAME, Reader},
    wire::MAX_DATAGRAM,
};
use static_cell::ConstStaticCell;
use steadfast_embassy::{Clock, EmbassyTimer, Instant, Timer, earliest};

use crate::{
    keeper::{Keeper, MAX_CHUNKS},
    uart::Uart,
};

/// After how much silence nobody is there any more. The bridge asks every second.
const SILENCE: Duration = Duration::from_secs(60);

/// The UART as a line of frames.
pub struct Line {
    uart: Uart,
    reader: &'static mut Reader,
    buffers: &'static mut Buffers,
}

struct Buffers {
    datagram: [u8; MAX_DATAGRAM],
    frame: [u8; MAX_FRAME],
}

impl Line {
    /// The line. Call it once.
    pub fn new(uart: Uart) -> Self {
        static READER: ConstStaticCell<Reader> = ConstStaticCell::new(Reader::new());
        static BUFFERS: ConstStaticCell<Buffers> =
            ConstStaticCell::new(Buffers { datagram: [0; MAX_DATAGRAM], frame: [0; MAX_FRAME] });
        Self { uart, reader: READER.take(), buffers: BUFFERS.take() }
    }

    /// Waits for the first frame that begins with random bytes.
    pub async fn start(&mut self) -> ([u8; 32], [[u8; 8]; 7]) {
        let mut piece = [0; 64];
        loop {
            let length = self.uart.read(&mut piece).await;
            let mut bytes = &piece[..length];
            while !bytes.is_empty() {
                if let Some(Frame::Start { seed, random }) = self.reader.read(&mut bytes) {
                    return (seed, random);
                }
            }
        }
    }

    /// Serves until nobody is there any more.
    pub async fn serve(&mut self, mut keeper: Keeper) {
        self.started(&keeper).await;
        let mut piece = [0; 64];
        let mut silent_at = silence();
        loop {
            let wake_at = earliest([keeper.next_deadline(), Some(silent_at)]).unwrap_or(silent_at);
            match select(self.uart.read(&mut piece), EmbassyTimer.sleep_until(wake_at)).await {
                Either::First(length) => {
                    self.take(&piece[..length], &mut keeper).await;
                    silent_at = silence();
                }
                Either::Second(()) => keeper.on_timeout(),
            }
            if EmbassyTimer.now() >= silent_at {
                return;
            }
        }
    }

    /// Takes some bytes, with the frames that end in them.
    async fn take(&mut self, mut bytes: &[u8], keeper: &mut Keeper) {
        while !bytes.is_empty() {
            match self.reader.read(&mut bytes) {
                None | Some(Frame::Started { .. } | Frame::Taken | Frame::Counts { .. }) => {}
                Some(Frame::Start { .. }) => self.started(keeper).await, // the answer to the first one was lost
                Some(Frame::Ask { token }) => {
                    let bytes = counts(token, self.reader, keeper, &mut self.buffers.frame);
                    self.uart.write(bytes).await;
                }
                Some(Frame::Datagram { peer, bytes }) => {
                    let Buffers { datagram, frame } = &mut *self.buffers;
                    if let Some(mut reply) = keeper.take(bytes, peer) {
                        while let Some(bytes) = keeper.next_reply(&mut reply, datagram) {
                            send(&mut self.uart, &Frame::Datagram { peer: reply.destination(), bytes }, frame).await;
                        }
                    }
                    send(&mut self.uart, &Frame::Taken, frame).await;
                }
            }
        }
    }

    async fn started(&mut self, keeper: &Keeper) {
        let frame = Frame::Started { id: keeper.id(), max_chunks: MAX_CHUNKS };
        send(&mut self.uart, &frame, &mut self.buffers.frame).await;
    }
}

async fn send(uart: &mut Uart, frame: &Frame<'_>, buffer: &mut [u8; MAX_FRAME]) {
    uart.write(encode(frame, buffer)).await;
}

#[inline(never)] // so that its stack is not the task's
fn encode<'b>(frame: &Frame<'_>, buffer: &'b mut [u8; MAX_FRAME]) -> &'b [u8] {
    serial::write(frame, buffer).unwrap_or_default()
}

#[inline(never)]
fn counts<'b>(token: u32, reader: &Reader, keeper: &Keeper, buffer: &'b mut [u8; MAX_FRAME]) -> &'b [u8] {
    let stats = BoardStats { line: reader.stats(), ..keeper.stats() };
    encode(&Frame::Counts { token, stats }, buffer)
}

fn silence() -> Instant {
    EmbassyTimer.now().saturating_add(SILENCE)
}
