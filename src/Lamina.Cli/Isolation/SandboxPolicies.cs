using Lamina.Interop.Isolation;

namespace Lamina.Cli.Isolation;

/// <summary>
/// Which system calls the threads of a machine's process may make once the guest runs. The runtime's own are among them: it maps memory, starts threads and reads what the kernel tells of
/// memory. <c>docs/adr/0022-sandbox.md</c> says why so.
/// </summary>
internal static class SandboxPolicies
{
    private const uint All = uint.MaxValue;

    // open(2): O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, and O_TMPFILE's own bit.
    private const uint ChangingFlags = 0x1 | 0x2 | 0x40 | 0x200 | 0x400000;
    private const uint ThreadFlag = 0x10000;
    private const uint UnixFamily = 1;
    private const uint StreamType = 1;
    private const uint TypeMask = 0xf;
    private const uint SetName = 15;
    private const uint GetName = 16;
    private const uint NameMemory = 0x53564d41;
    private const uint SetNoNewPrivileges = 38;
    private const uint KvmRequests = 0xae00;
    private const uint RequestGroup = 0xff00;

    // TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGPGRP, TIOCGWINSZ, FIONREAD, FIONBIO; FICLONE; BLKGETSIZE64, BLKDISCARD, BLKZEROOUT; TUNSETOFFLOAD, TUNSETQUEUE; TUNSETIFF is not among them.
    private static readonly uint[] Requests = [0x5401, 0x5402, 0x5403, 0x5404, 0x540f, 0x5413, 0x541b, 0x5421, 0x40049409, 0x80081272, 0x1277, 0x127f, 0x400454d0, 0x400454d9];

    /// <summary>For all threads: those of the runtime, of control connections, disks, networks and sockets, and what the others have and more.</summary>
    /// <param name="needs">What the machine needs.</param>
    public static SystemCallPolicy CreateForProcess(SandboxNeeds needs)
    {
        SystemCallPolicy policy = CreateForDevices(needs)
            .Allow(SystemCall.Accept, SystemCall.Accept4, SystemCall.Sendmsg, SystemCall.Recvmsg, SystemCall.Wait4, SystemCall.Waitid, SystemCall.Unlink, SystemCall.Unlinkat)
            .Allow(SystemCall.Rename, SystemCall.Renameat, SystemCall.Renameat2, SystemCall.Open, SystemCall.Openat, SystemCall.Dup, SystemCall.Dup2, SystemCall.Dup3, SystemCall.Seccomp)
            .AllowWhere(SystemCall.Socketpair, new ArgumentCheck(0, All, UnixFamily), new ArgumentCheck(1, TypeMask, StreamType));
        return Close(policy);
    }

    /// <summary>For the event loop, beside that for all: it opens files for reading only, takes no descriptors from others, and changes no names.</summary>
    public static SystemCallPolicy CreateForEventLoop(SandboxNeeds needs)
    {
        // Threads of networks and of the guest's sockets begin here after a standstill.
        return Close(CreateForDevices(needs).Allow(SystemCall.Accept4, SystemCall.Seccomp));
    }

    /// <summary>For virtual processors, beside that for all: as the event loop, and nobody is accepted. Threads that serve disks begin here.</summary>
    public static SystemCallPolicy CreateForProcessor(SandboxNeeds needs) => Close(CreateForDevices(needs));

    // What every thread may: work with memory, threads, time, and descriptors that are open; and read files.
    private static SystemCallPolicy CreateForDevices(SandboxNeeds needs)
    {
        SystemCallPolicy policy = new();
        policy
            .Allow(SystemCall.Mmap, SystemCall.Mprotect, SystemCall.Munmap, SystemCall.Brk, SystemCall.Mremap, SystemCall.Madvise, SystemCall.Mincore, SystemCall.Msync, SystemCall.MemfdCreate)
            .Allow(SystemCall.Membarrier, SystemCall.Mbind, SystemCall.GetMempolicy, SystemCall.SetMempolicy, SystemCall.Mlock, SystemCall.Munlock)
            .Allow(SystemCall.Futex, SystemCall.FutexWait, SystemCall.FutexWake, SystemCall.FutexWaitv, SystemCall.SchedYield, SystemCall.SchedGetaffinity, SystemCall.SchedGetparam, SystemCall.SchedGetscheduler)
            .Allow(SystemCall.SchedGetPriorityMax, SystemCall.SchedGetPriorityMin, SystemCall.Getpriority, SystemCall.SetRobustList, SystemCall.Rseq, SystemCall.SetTidAddress, SystemCall.Exit, SystemCall.ExitGroup, SystemCall.Getcpu)
            .Allow(SystemCall.RtSigaction, SystemCall.RtSigprocmask, SystemCall.RtSigreturn, SystemCall.RtSigtimedwait, SystemCall.Sigaltstack, SystemCall.RestartSyscall)
            .Allow(SystemCall.ClockGettime, SystemCall.ClockGetres, SystemCall.ClockNanosleep, SystemCall.Nanosleep, SystemCall.Gettimeofday, SystemCall.Time, SystemCall.TimerfdCreate, SystemCall.TimerfdSettime)
            .Allow(SystemCall.TimerfdGettime, SystemCall.Getpid, SystemCall.Gettid, SystemCall.Getppid, SystemCall.Getuid, SystemCall.Geteuid, SystemCall.Getgid, SystemCall.Getegid, SystemCall.Getpgrp, SystemCall.Getrusage)
            .Allow(SystemCall.Getrlimit, SystemCall.Sysinfo, SystemCall.Uname, SystemCall.Times, SystemCall.Getrandom, SystemCall.ArchPrctl, SystemCall.Getcwd)
            .Allow(SystemCall.Read, SystemCall.Write, SystemCall.Readv, SystemCall.Writev, SystemCall.Pread64, SystemCall.Pwrite64, SystemCall.Preadv, SystemCall.Pwritev, SystemCall.Preadv2, SystemCall.Pwritev2)
            .Allow(SystemCall.Lseek, SystemCall.Fsync, SystemCall.Fdatasync, SystemCall.Ftruncate, SystemCall.Fallocate, SystemCall.Fadvise64, SystemCall.CopyFileRange, SystemCall.Fcntl, SystemCall.Flock, SystemCall.Close)
            .Allow(SystemCall.Fstat, SystemCall.Stat, SystemCall.Lstat, SystemCall.Newfstatat, SystemCall.Statx, SystemCall.Statfs, SystemCall.Fstatfs, SystemCall.Getdents64, SystemCall.Readlink, SystemCall.Readlinkat)
            .Allow(SystemCall.Access, SystemCall.Faccessat, SystemCall.Faccessat2)
            .Allow(SystemCall.Poll, SystemCall.Ppoll, SystemCall.Select, SystemCall.Pselect6, SystemCall.EpollCreate1, SystemCall.EpollCtl, SystemCall.EpollWait, SystemCall.EpollPwait, SystemCall.Eventfd2)
            .Allow(SystemCall.Pipe, SystemCall.Pipe2, SystemCall.IoUringEnter)
            .Allow(SystemCall.Sendto, SystemCall.Recvfrom, SystemCall.Shutdown, SystemCall.Getsockname, SystemCall.Getpeername, SystemCall.Getsockopt, SystemCall.Setsockopt)
            .AllowWhere(SystemCall.Clone, new ArgumentCheck(0, ThreadFlag, ThreadFlag))
            .AllowWhere(SystemCall.Open, new ArgumentCheck(1, ChangingFlags, 0))
            .AllowWhere(SystemCall.Openat, new ArgumentCheck(2, ChangingFlags, 0))
            .AllowWhere(SystemCall.Prctl, new ArgumentCheck(0, All, SetName))
            .AllowWhere(SystemCall.Prctl, new ArgumentCheck(0, All, GetName))
            .AllowWhere(SystemCall.Prctl, new ArgumentCheck(0, All, NameMemory))
            .AllowWhere(SystemCall.Prctl, new ArgumentCheck(0, All, SetNoNewPrivileges))
            .AllowWhere(SystemCall.Prlimit64, new ArgumentCheck(0, All, 0), new ArgumentCheck(2, All, 0))
            .AllowWhere(SystemCall.Tgkill, new ArgumentCheck(0, All, (uint)Environment.ProcessId))
            .AllowWhere(SystemCall.SchedSetaffinity, new ArgumentCheck(0, All, 0))
            .AllowWhere(SystemCall.Ioctl, new ArgumentCheck(1, RequestGroup, KvmRequests));
        foreach (uint request in Requests)
        {
            policy.AllowWhere(SystemCall.Ioctl, new ArgumentCheck(1, All, request));
        }

        if (needs.Shares.Count > 0)
        {
            // A guest's requests for a shared folder are done by the processor that makes them, below the folder alone.
            policy
                .Allow(SystemCall.Open, SystemCall.Openat, SystemCall.Openat2, SystemCall.Mkdirat, SystemCall.Mknodat, SystemCall.Unlinkat, SystemCall.Renameat, SystemCall.Renameat2, SystemCall.Linkat, SystemCall.Symlinkat)
                .Allow(SystemCall.Chmod, SystemCall.Fchownat, SystemCall.Utimensat, SystemCall.Truncate);
        }

        if (needs.ConnectsToHost)
        {
            policy.Allow(SystemCall.Connect).AllowWhere(SystemCall.Socket, new ArgumentCheck(0, All, UnixFamily), new ArgumentCheck(1, TypeMask, StreamType));
        }

        return policy;
    }

    // What nothing but an attack does here: to become another program or another user, to look into other processes, and to change the system.
    private static SystemCallPolicy Close(SystemCallPolicy policy) => policy
        .Hide(SystemCall.Clone3)
        .Kill(SystemCall.Execve, SystemCall.Execveat, SystemCall.Ptrace, SystemCall.ProcessVmReadv, SystemCall.ProcessVmWritev, SystemCall.PidfdGetfd, SystemCall.ProcessMadvise, SystemCall.Kcmp)
        .Kill(SystemCall.Setuid, SystemCall.Setgid, SystemCall.Setreuid, SystemCall.Setregid, SystemCall.Setresuid, SystemCall.Setresgid, SystemCall.Setgroups, SystemCall.Setfsuid, SystemCall.Setfsgid, SystemCall.Capset)
        .Kill(SystemCall.Mount, SystemCall.Umount2, SystemCall.PivotRoot, SystemCall.Chroot, SystemCall.OpenTree, SystemCall.MoveMount, SystemCall.Fsopen, SystemCall.Fsconfig, SystemCall.Fsmount, SystemCall.Fspick)
        .Kill(SystemCall.MountSetattr, SystemCall.Setns, SystemCall.Unshare, SystemCall.OpenByHandleAt)
        .Kill(SystemCall.InitModule, SystemCall.FinitModule, SystemCall.DeleteModule, SystemCall.KexecLoad, SystemCall.KexecFileLoad, SystemCall.Reboot, SystemCall.Swapon, SystemCall.Swapoff, SystemCall.Bpf)
        .Kill(SystemCall.PerfEventOpen, SystemCall.Iopl, SystemCall.Ioperm, SystemCall.ModifyLdt, SystemCall.Settimeofday, SystemCall.ClockSettime, SystemCall.Sethostname, SystemCall.Setdomainname, SystemCall.Acct)
        .Kill(SystemCall.AddKey, SystemCall.RequestKey, SystemCall.Keyctl, SystemCall.Userfaultfd);
}
