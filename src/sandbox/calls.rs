//! System calls: seccomp.
//!
//! Owns the list of calls that are refused, with EPERM, in every thread: programs and processes,
//! other processes, privileges, namespaces and mounts, whose files are and who may use them, the
//! kernel itself, and sockets of families that nobody here speaks. Refuses to list what is allowed
//! instead: that would depend on the C library and on the modules of its resolver, and break with
//! either's next version. DESIGN.md says more. There is nothing next.

use std::fmt;

/// Refuses the calls from now on, to all threads.
pub(super) fn restrict() -> Result<(), Refused> {
    imp::restrict()
}

/// Why there is no filter.
#[derive(Debug)]
pub(super) enum Refused {
    /// The filter is not made for this processor.
    #[allow(dead_code, reason = "every processor is either one of ours or not")]
    Processor,
    /// The system's word on it.
    System(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processor => write!(f, "not made for {}", std::env::consts::ARCH),
            Self::System(reason) => f.write_str(reason),
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
mod imp {
    pub(super) fn restrict() -> Result<(), super::Refused> {
        Err(super::Refused::Processor)
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod imp {
    use std::collections::BTreeMap;

    use nix::libc;
    use seccompiler::SeccompCmpArgLen::Dword;
    use seccompiler::SeccompCmpOp::{self, Eq, MaskedEq, Ne};
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch, apply_filter_all_threads, sock_filter,
    };

    use super::Refused;

    #[cfg(target_arch = "x86_64")]
    const ARCH: TargetArch = TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    const ARCH: TargetArch = TargetArch::aarch64;
    #[cfg(target_arch = "riscv64")]
    const ARCH: TargetArch = TargetArch::riscv64;

    /// Refused whatever the arguments.
    const REFUSED: &[libc::c_long] = &[
        // Programs.
        libc::SYS_execve,
        libc::SYS_execveat,
        // Other processes: their memory and descriptors.
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_process_madvise,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        // ... and signals to them, in the forms that we do not use ourselves.
        libc::SYS_pidfd_send_signal,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_rt_tgsigqueueinfo,
        libc::SYS_tkill,
        // Who we are: -u is done.
        libc::SYS_setuid,
        libc::SYS_setgid,
        libc::SYS_setreuid,
        libc::SYS_setregid,
        libc::SYS_setresuid,
        libc::SYS_setresgid,
        libc::SYS_setfsuid,
        libc::SYS_setfsgid,
        libc::SYS_setgroups,
        libc::SYS_capset,
        libc::SYS_personality,
        // Mounts, namespaces, and ways around paths.
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_mount_setattr,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_open_by_handle_at,
        libc::SYS_fanotify_init,
        // What of a file is not its contents: Landlock has no rights for it. Nor has it one for the
        // first before Linux 6.2.
        libc::SYS_truncate,
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        FCHMODAT2,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_fsetxattr,
        SETXATTRAT,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_fremovexattr,
        REMOVEXATTRAT,
        FILE_SETATTR,
        libc::SYS_utimensat,
        libc::SYS_quotactl,
        QUOTACTL_FD,
        // What processes share under names that are no paths.
        libc::SYS_mq_open,
        libc::SYS_mq_unlink,
        libc::SYS_shmget,
        libc::SYS_shmat,
        libc::SYS_shmctl,
        libc::SYS_semget,
        libc::SYS_semop,
        libc::SYS_semtimedop,
        libc::SYS_semctl,
        libc::SYS_msgget,
        libc::SYS_msgsnd,
        libc::SYS_msgrcv,
        libc::SYS_msgctl,
        // Keys of the kernel.
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        // Doors into the kernel that many an attack has come through.
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        // The machine.
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        KEXEC_FILE_LOAD,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_syslog,
        libc::SYS_vhangup,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_clock_adjtime,
        libc::SYS_adjtimex,
    ];

    /// What only this processor has: older forms of the above, and its own doors.
    #[cfg(target_arch = "x86_64")]
    const OLDER: &[libc::c_long] = &[
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_modify_ldt,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const OLDER: &[libc::c_long] = &[];

    /// The numbers that newer calls have on every processor; libc does not name them for each.
    const QUOTACTL_FD: libc::c_long = 443;
    const FCHMODAT2: libc::c_long = 452;
    const SETXATTRAT: libc::c_long = 463;
    const REMOVEXATTRAT: libc::c_long = 466;
    const FILE_SETATTR: libc::c_long = 469;

    #[cfg(target_arch = "x86_64")]
    const KEXEC_FILE_LOAD: libc::c_long = libc::SYS_kexec_file_load;
    /// The number in the kernel's table for newer processors; libc does not name it for each.
    #[cfg(not(target_arch = "x86_64"))]
    const KEXEC_FILE_LOAD: libc::c_long = 294;

    /// What clone(2) can make new beside a thread.
    const NAMESPACES: [libc::c_int; 7] = [
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWUTS,
    ];

    /// The families of sockets that we and the resolver use.
    const FAMILIES: [libc::c_int; 4] =
        [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

    /// The bits of a socket's type that are not flags.
    const SOCKET_TYPE: u64 = 0xf;

    /// From here on x86-64 numbers the calls of its x32 variant, which nobody here uses.
    const X32: u32 = 0x4000_0000;

    pub(super) fn restrict() -> Result<(), Refused> {
        let program =
            program(std::process::id()).map_err(|error| Refused::System(error.to_string()))?;
        apply_filter_all_threads(&program).map_err(|error| {
            Refused::System(match error {
                seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
                    error.to_string()
                }
                other => other.to_string(),
            })
        })
    }

    /// The filter for the process `pid`.
    fn program(pid: u32) -> Result<BpfProgram, BackendError> {
        let always = REFUSED.iter().chain(OLDER);
        let mut rules: BTreeMap<_, _> = always.map(|&call| (call, Vec::new())).collect();
        rules.extend(rules_by_arguments(pid)?);
        let refuse = SeccompAction::Errno(libc::EPERM as u32);
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCH)?;
        let mut program = unknown_calls();
        program.extend(BpfProgram::try_from(filter)?);
        Ok(program)
    }

    /// Refused with some arguments: those of each of the rules.
    fn rules_by_arguments(pid: u32) -> Result<[(libc::c_long, Vec<SeccompRule>); 6], BackendError> {
        // Threads, and nothing else that clone makes.
        let thread = libc::CLONE_THREAD as u64;
        let mut clone = vec![rule([(0, MaskedEq(thread), 0)])?];
        for namespace in NAMESPACES.map(|flag| flag as u64) {
            clone.push(rule([(0, MaskedEq(namespace), namespace)])?);
        }
        // Signals to ourselves, which is how a process dies of one.
        let kill = || rule([(0, Ne, pid.into())]);
        // Keystrokes into the terminal that we may have been started from.
        #[allow(clippy::unnecessary_cast, reason = "the type differs between C libraries")]
        let requests = [libc::TIOCSTI as u64, libc::TIOCLINUX as u64];
        let typed = requests.map(|request| rule([(1, Eq, request)]));
        Ok([
            (libc::SYS_clone, clone),
            (libc::SYS_kill, vec![kill()?]),
            (libc::SYS_tgkill, vec![kill()?]),
            // Limits of others; 0 is ourselves.
            (libc::SYS_prlimit64, vec![rule([(0, Ne, 0), (0, Ne, pid.into())])?]),
            (libc::SYS_ioctl, typed.into_iter().collect::<Result<_, _>>()?),
            (libc::SYS_socket, socket_rules()?),
        ])
    }

    fn socket_rules() -> Result<Vec<SeccompRule>, BackendError> {
        let mut refused = vec![rule(FAMILIES.map(|family| (0, Ne, family as u64)))?];
        // Raw packets, whole ones in a family that is not theirs, too: old, and still possible.
        #[allow(deprecated, reason = "what nobody should use is what we refuse")]
        for family in [libc::AF_INET, libc::AF_INET6] {
            for kind in [libc::SOCK_RAW, libc::SOCK_PACKET] {
                let kind = (1, MaskedEq(SOCKET_TYPE), kind as u64);
                refused.push(rule([(0, Eq, family as u64), kind])?);
            }
        }
        // The resolver asks NETLINK_ROUTE for our addresses; the rest is for administrators.
        let (netlink, route) = (libc::AF_NETLINK as u64, libc::NETLINK_ROUTE as u64);
        refused.push(rule([(0, Eq, netlink), (2, Ne, route)])?);
        Ok(refused)
    }

    /// All conditions together: argument, comparison, value. The kernel looks at 32 bits of each of
    /// these arguments, so we do, too.
    fn rule<const N: usize>(
        conditions: [(u8, SeccompCmpOp, u64); N],
    ) -> Result<SeccompRule, BackendError> {
        let conditions = conditions
            .into_iter()
            .map(|(argument, op, value)| SeccompCondition::new(argument, Dword, op, value));
        SeccompRule::new(conditions.collect::<Result<_, _>>()?)
    }

    /// Answered as by a kernel that does not know them, before the filter: the C library then uses
    /// clone in place of clone3, whose arguments no filter can see; and the calls of x32 would
    /// pass by a list of numbers.
    fn unknown_calls() -> BpfProgram {
        let step = |code: u32, k: u32, jt: u8, jf: u8| sock_filter { code: code as u16, jt, jf, k };
        let unknown = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        let jump_if = libc::BPF_JMP | libc::BPF_K;
        vec![
            // The number of the call is what seccomp_data begins with.
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(jump_if | libc::BPF_JEQ, libc::SYS_clone3 as u32, 1, 0),
            step(jump_if | libc::BPF_JGE, X32, 0, 1),
            step(libc::BPF_RET | libc::BPF_K, unknown, 0, 0),
        ]
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn there_is_a_filter_and_no_call_is_in_it_twice() {
            let by_arguments = rules_by_arguments(1).unwrap();
            let mut calls: Vec<_> = by_arguments.iter().map(|(call, _)| call).collect();
            calls.extend(REFUSED.iter().chain(OLDER));
            calls.sort();
            assert!(calls.windows(2).all(|pair| pair[0] != pair[1]), "{calls:?}");
            // What the kernel takes at most.
            assert!(program(1).unwrap().len() < 4096);
        }
    }
}
