//! Makes a thread of a running program call the system, by ptrace: what the call returns is what
//! whoever takes the thread over would get.
//!
//! The thread must be waiting inside a system call, as those of an idle program do, and goes on
//! with that afterwards. Only for x86-64, since registers are named. Next: `kernel.rs`.

use nix::errno::Errno;
use nix::libc;
use nix::libc::user_regs_struct as Registers;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::wait_until;

/// A stopped thread. It goes on where it was when this is dropped.
pub(crate) struct Stopped {
    thread: Pid,
    registers: Registers,
    /// Where the next text is written: below the stack, beyond what the thread still uses of it.
    free: u64,
}

/// The threads of a process.
pub(crate) fn threads(pid: Pid) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a living process");
    let names = tasks.map(|task| task.expect("an entry").file_name().into_string());
    names.map(|name| Pid::from_raw(name.expect("digits").parse().expect("a number"))).collect()
}

impl Stopped {
    /// Stops a thread; `None` if we may not.
    pub(crate) fn new(thread: Pid) -> Option<Self> {
        match ptrace::seize(thread, ptrace::Options::empty()) {
            Err(Errno::EPERM) => return None,
            seized => seized.expect("PTRACE_SEIZE"),
        }
        let mut registers = interrupt(thread);
        wait_until("the thread waits in a system call", || {
            let waits = is_behind_call(thread, &registers);
            if !waits {
                ptrace::cont(thread, None).expect("PTRACE_CONT");
                registers = interrupt(thread);
            }
            waits
        });
        // Beyond the 128 bytes that a function may use below its stack pointer.
        Some(Self { thread, registers, free: (registers.rsp - 1024) & !7 })
    }

    /// Puts a text with a zero at its end where the thread can read it; its address.
    pub(crate) fn text(&mut self, text: &str) -> u64 {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(bytes.len() / 8 * 8 + 8, 0);
        self.free -= bytes.len() as u64;
        for (i, word) in bytes.chunks_exact(8).enumerate() {
            let word = i64::from_ne_bytes(word.try_into().expect("eight bytes"));
            let address = (self.free + 8 * i as u64) as ptrace::AddressType;
            ptrace::write(self.thread, address, word).expect("PTRACE_POKEDATA");
        }
        self.free
    }

    /// Makes the thread call the system.
    pub(crate) fn call(&mut self, number: libc::c_long, arguments: &[u64]) -> Result<u64, Errno> {
        let argument = |i: usize| arguments.get(i).copied().unwrap_or(0);
        let call = Registers {
            // Back to the instruction that it has just gone through, and no call to repeat.
            rip: self.registers.rip - 2,
            orig_rax: u64::MAX,
            rax: number as u64,
            rdi: argument(0),
            rsi: argument(1),
            rdx: argument(2),
            r10: argument(3),
            r8: argument(4),
            r9: argument(5),
            ..self.registers
        };
        ptrace::setregs(self.thread, call).expect("PTRACE_SETREGS");
        ptrace::step(self.thread, None).expect("PTRACE_SINGLESTEP");
        waitpid(self.thread, Some(WaitPidFlag::__WALL)).expect("it stops again");
        let result = ptrace::getregs(self.thread).expect("PTRACE_GETREGS").rax;
        match -(result as i64) {
            error @ 1..4096 => Err(Errno::from_raw(error as i32)),
            _ => Ok(result),
        }
    }
}

/// Stops a thread that is traced.
fn interrupt(thread: Pid) -> Registers {
    ptrace::interrupt(thread).expect("PTRACE_INTERRUPT");
    waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
    ptrace::getregs(thread).expect("PTRACE_GETREGS")
}

/// True if the instruction before is the one that calls the system: 0f 05.
fn is_behind_call(thread: Pid, registers: &Registers) -> bool {
    let before = ptrace::read(thread, (registers.rip - 2) as ptrace::AddressType);
    before.expect("its code can be read").to_ne_bytes().starts_with(&[0x0f, 0x05])
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // If the program has ended, there is nothing to restore.
        let _ = ptrace::setregs(self.thread, self.registers);
        let _ = ptrace::detach(self.thread, None);
    }
}
