//! The CMSDK UART0 of the board, by interrupts and without losing a byte.

use cortex_m::peripheral::NVIC;
use cortex_m_rt::exception;
use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, pipe::Pipe, signal::Signal};

/// Registers: what each is, as so many words from the base.
const BASE: *mut u32 = 0x4000_4000 as *mut u32;
const DATA: usize = 0;
const STATE: usize = 1;
const CONTROL: usize = 2;
const INTERRUPTS: usize = 3;
const DIVISOR: usize = 4;

/// Bits of the state and, for interrupts, of the control and interrupt registers.
const SEND_FULL: u32 = 1 << 0;
const RECEIVE_FULL: u32 = 1 << 1;
const ENABLE_SEND: u32 = 1 << 0;
const ENABLE_RECEIVE: u32 = 1 << 1;
const SEND_INTERRUPT: u32 = 1 << 2;
const RECEIVE_INTERRUPT: u32 = 1 << 3;
const SENT: u32 = 1 << 0;
const RECEIVED: u32 = 1 << 1;

/// The numbers of its two interrupts.
#[derive(Clone, Copy)]
#[repr(u16)]
enum Interrupt {
    Receive = 0,
    Send = 1,
}

// SAFETY: these are the interrupts of UART0 on mps2-an386, and no other number can be made.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// What has come and was not read: one frame while the one before it is handled.
static COME: Pipe<CriticalSectionRawMutex, 2_048> = Pipe::new();

/// There is room for a byte to send.
static ROOM: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// The UART, started.
pub struct Uart(());

impl Uart {
    /// Starts it. Call it once.
    pub fn start() -> Self {
        write(DIVISOR, 16); // its fastest; an emulated line takes no time
        write(CONTROL, ENABLE_SEND | ENABLE_RECEIVE | RECEIVE_INTERRUPT);
        for interrupt in [Interrupt::Receive, Interrupt::Send] {
            // SAFETY: no critical section is made by masking single interrupts.
            unsafe { NVIC::unmask(interrupt) };
        }
        Self(())
    }

    /// Waits for bytes, and tells how many have come.
    pub async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let length = COME.read(buffer).await;
        // Whatever has waited at the other end for want of room may come now.
        cortex_m::interrupt::free(|_| write(CONTROL, read(CONTROL) | RECEIVE_INTERRUPT));
        NVIC::pend(Interrupt::Receive);
        length
    }

    /// Sends all of it.
    pub async fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            while read(STATE) & SEND_FULL != 0 {
                ROOM.reset();
                cortex_m::interrupt::free(|_| write(CONTROL, read(CONTROL) | SEND_INTERRUPT));
                if read(STATE) & SEND_FULL != 0 {
                    ROOM.wait().await;
                }
            }
            write(DATA, u32::from(*byte));
        }
    }
}

/// Whether nothing has come that was not read.
pub fn is_idle() -> bool {
    COME.is_empty()
}

/// Takes what has come. If there is no room, it leaves the byte where it is: the sender waits then. (On a line without
/// flow control the hardware drops the bytes behind it, and the frame is counted as damaged.)
fn on_receive() {
    write(INTERRUPTS, RECEIVED);
    while read(STATE) & RECEIVE_FULL != 0 {
        if COME.is_full() {
            write(CONTROL, read(CONTROL) & !RECEIVE_INTERRUPT);
            return;
        }
        let _there_is_room = COME.try_write(&[read(DATA) as u8]);
    }
}

fn on_sent() {
    write(INTERRUPTS, SENT);
    write(CONTROL, read(CONTROL) & !SEND_INTERRUPT);
    ROOM.signal(());
}

#[exception]
unsafe fn DefaultHandler(number: i16) {
    match number {
        0 => on_receive(),
        1 => on_sent(),
        other => panic!("interrupt {other}"),
    }
}

fn read(register: usize) -> u32 {
    // SAFETY: a register of UART0, which nobody uses but this file.
    unsafe { BASE.add(register).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: a register of UART0, which nobody uses but this file.
    unsafe { BASE.add(register).write_volatile(value) }
}
