//! The three system calls, by Linux's convention on each processor; WebAssembly imports one function for them.

#[cfg(not(target_arch = "wasm32"))]
use core::arch::asm;

pub(crate) fn read(buffer: &mut [u8]) -> usize {
    // SAFETY: it writes into the buffer only, at most as much as it holds.
    unsafe { call(READ, 0, buffer.as_mut_ptr() as usize, buffer.len()) }.min(buffer.len())
}

/// How much was written; nothing where it failed.
pub(crate) fn write(bytes: &[u8]) -> usize {
    // SAFETY: it reads the bytes and nothing else.
    let written = unsafe { call(WRITE, 1, bytes.as_ptr() as usize, bytes.len()) };
    if written <= bytes.len() { written } else { 0 }
}

pub(crate) fn exit(status: usize) -> ! {
    // SAFETY: it does not come back.
    unsafe { call(EXIT, status, 0, 0) };
    loop {}
}

const EXIT: usize = NUMBERS[0];
const READ: usize = NUMBERS[1];
const WRITE: usize = NUMBERS[2];

#[cfg(any(target_arch = "x86", target_arch = "s390x", target_arch = "wasm32"))]
const NUMBERS: [usize; 3] = [1, 3, 4];
#[cfg(target_arch = "riscv32")]
const NUMBERS: [usize; 3] = [93, 63, 64];
#[cfg(target_arch = "mips")]
const NUMBERS: [usize; 3] = [4001, 4003, 4004];

/// The system call of this number.
///
/// # Safety
///
/// That of what it does to the memory that it is given.
#[cfg(target_arch = "x86")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize) -> usize {
    let result;
    // SAFETY: the caller's; no register is changed but the one that is named.
    unsafe {
        asm!("int $0x80", inlateout("eax") number => result, in("ebx") a, in("ecx") b, in("edx") c, options(att_syntax))
    };
    result
}

#[cfg(target_arch = "riscv32")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize) -> usize {
    let result;
    // SAFETY: as above.
    unsafe { asm!("ecall", in("a7") number, inlateout("a0") a => result, in("a1") b, in("a2") c) };
    result
}

#[cfg(target_arch = "mips")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize) -> usize {
    let result;
    // SAFETY: as above.
    unsafe {
        asm!("syscall", inlateout("$2") number => result, in("$4") a, in("$5") b, in("$6") c, lateout("$7") _,
            lateout("$3") _, lateout("$8") _, lateout("$9") _, lateout("$10") _, lateout("$11") _, lateout("$12") _,
            lateout("$13") _, lateout("$14") _, lateout("$15") _, lateout("$24") _, lateout("$25") _);
    }
    result
}

#[cfg(target_arch = "s390x")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize) -> usize {
    let result;
    // SAFETY: as above.
    unsafe { asm!("svc 0", in("r1") number, inlateout("r2") a => result, in("r3") b, in("r4") c) };
    result
}

/// What the page, or `node`, answers instead of a system.
#[cfg(target_arch = "wasm32")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize) -> usize {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        fn system(number: usize, a: usize, b: usize, c: usize) -> usize;
    }
    // SAFETY: as above.
    unsafe { system(number, a, b, c) }
}
