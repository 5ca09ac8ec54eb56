namespace Lamina.Interop.Isolation;

/// <summary>Numbers of system calls on x86-64 (Linux, arch/x86/entry/syscalls/syscall_64.tbl), under their names there.</summary>
public enum SystemCall
{
#pragma warning disable CS1591 // The table named above says what each does.
    Read = 0, Write = 1, Open = 2, Close = 3, Stat = 4, Fstat = 5, Lstat = 6, Poll = 7, Lseek = 8, Mmap = 9, Mprotect = 10, Munmap = 11, Brk = 12,
    RtSigaction = 13, RtSigprocmask = 14, RtSigreturn = 15, Ioctl = 16, Pread64 = 17, Pwrite64 = 18, Readv = 19, Writev = 20, Access = 21, Pipe = 22,
    Select = 23, SchedYield = 24, Mremap = 25, Msync = 26, Mincore = 27, Madvise = 28, Shmget = 29, Shmat = 30, Shmctl = 31, Dup = 32, Dup2 = 33, Pause = 34, Nanosleep = 35,
    Getpid = 39, Sendfile = 40, Socket = 41, Connect = 42, Accept = 43, Sendto = 44, Recvfrom = 45, Sendmsg = 46, Recvmsg = 47, Shutdown = 48, Bind = 49,
    Listen = 50, Getsockname = 51, Getpeername = 52, Socketpair = 53, Setsockopt = 54, Getsockopt = 55, Clone = 56, Fork = 57, Vfork = 58, Execve = 59, Exit = 60,
    Wait4 = 61, Kill = 62, Uname = 63, Semget = 64, Shmdt = 67, Msgget = 68, Fcntl = 72, Flock = 73, Fsync = 74, Fdatasync = 75, Truncate = 76, Ftruncate = 77, Getdents = 78,
    Getcwd = 79, Chdir = 80, Fchdir = 81, Rename = 82, Mkdir = 83, Rmdir = 84, Creat = 85, Link = 86, Unlink = 87, Symlink = 88, Readlink = 89, Chmod = 90, Fchmod = 91, Chown = 92,
    Fchown = 93, Lchown = 94, Umask = 95, Gettimeofday = 96, Getrlimit = 97, Getrusage = 98, Sysinfo = 99, Times = 100, Ptrace = 101, Getuid = 102, Syslog = 103, Getgid = 104,
    Setuid = 105, Setgid = 106, Geteuid = 107, Getegid = 108, Setpgid = 109, Getppid = 110, Getpgrp = 111, Setsid = 112, Setreuid = 113, Setregid = 114, Getgroups = 115,
    Setgroups = 116, Setresuid = 117, Getresuid = 118, Setresgid = 119, Getresgid = 120, Getpgid = 121, Setfsuid = 122, Setfsgid = 123, Getsid = 124, Capget = 125, Capset = 126,
    RtSigpending = 127, RtSigtimedwait = 128, RtSigqueueinfo = 129, RtSigsuspend = 130, Sigaltstack = 131, Mknod = 133, Personality = 135, Statfs = 137, Fstatfs = 138,
    Getpriority = 140, Setpriority = 141, SchedSetparam = 142, SchedGetparam = 143, SchedSetscheduler = 144, SchedGetscheduler = 145, SchedGetPriorityMax = 146,
    SchedGetPriorityMin = 147, Mlock = 149, Munlock = 150, Vhangup = 153, ModifyLdt = 154, PivotRoot = 155, Prctl = 157, ArchPrctl = 158, Setrlimit = 160, Chroot = 161,
    Sync = 162, Acct = 163, Settimeofday = 164, Mount = 165, Umount2 = 166, Swapon = 167, Swapoff = 168, Reboot = 169, Sethostname = 170, Setdomainname = 171, Iopl = 172, Ioperm = 173,
    InitModule = 175, DeleteModule = 176, Quotactl = 179, Gettid = 186, Readahead = 187, Setxattr = 188, Fsetxattr = 190, Getxattr = 191, Fgetxattr = 193, Listxattr = 194, Flistxattr = 196,
    Tkill = 200, Time = 201, Futex = 202, SchedSetaffinity = 203, SchedGetaffinity = 204, IoSetup = 206, Getdents64 = 217, SetTidAddress = 218, RestartSyscall = 219, Fadvise64 = 221,
    TimerCreate = 222, TimerSettime = 223, TimerDelete = 226, ClockSettime = 227, ClockGettime = 228, ClockGetres = 229, ClockNanosleep = 230, ExitGroup = 231, EpollWait = 232,
    EpollCtl = 233, Tgkill = 234, Mbind = 237, SetMempolicy = 238, GetMempolicy = 239, MqOpen = 240, KexecLoad = 246, Waitid = 247, AddKey = 248, RequestKey = 249, Keyctl = 250,
    InotifyInit = 253, MigratePages = 256, Openat = 257, Mkdirat = 258, Mknodat = 259, Fchownat = 260, Newfstatat = 262, Unlinkat = 263, Renameat = 264, Linkat = 265,
    Symlinkat = 266, Readlinkat = 267, Fchmodat = 268, Faccessat = 269, Pselect6 = 270, Ppoll = 271, Unshare = 272, SetRobustList = 273, GetRobustList = 274, Splice = 275,
    Tee = 276, SyncFileRange = 277, Vmsplice = 278, MovePages = 279, Utimensat = 280, EpollPwait = 281, TimerfdCreate = 283, Fallocate = 285, TimerfdSettime = 286, TimerfdGettime = 287,
    Accept4 = 288, Signalfd4 = 289, Eventfd2 = 290, EpollCreate1 = 291, Dup3 = 292, Pipe2 = 293, InotifyInit1 = 294, Preadv = 295, Pwritev = 296, RtTgsigqueueinfo = 297,
    PerfEventOpen = 298, Recvmmsg = 299, FanotifyInit = 300, Prlimit64 = 302, NameToHandleAt = 303, OpenByHandleAt = 304, ClockAdjtime = 305, Syncfs = 306, Sendmmsg = 307, Setns = 308,
    Getcpu = 309, ProcessVmReadv = 310, ProcessVmWritev = 311, Kcmp = 312, FinitModule = 313, SchedSetattr = 314, SchedGetattr = 315, Renameat2 = 316, Seccomp = 317, Getrandom = 318,
    MemfdCreate = 319, KexecFileLoad = 320, Bpf = 321, Execveat = 322, Userfaultfd = 323, Membarrier = 324, Mlock2 = 325, CopyFileRange = 326, Preadv2 = 327, Pwritev2 = 328,
    PkeyMprotect = 329, Statx = 332, Rseq = 334, PidfdSendSignal = 424, IoUringSetup = 425, IoUringEnter = 426, IoUringRegister = 427, OpenTree = 428, MoveMount = 429, Fsopen = 430,
    Fsconfig = 431, Fsmount = 432, Fspick = 433, PidfdOpen = 434, Clone3 = 435, CloseRange = 436, Openat2 = 437, PidfdGetfd = 438, Faccessat2 = 439, ProcessMadvise = 440,
    EpollPwait2 = 441, MountSetattr = 442, LandlockCreateRuleset = 444, LandlockAddRule = 445, LandlockRestrictSelf = 446, MemfdSecret = 447, FutexWaitv = 449, Cachestat = 451,
    Fchmodat2 = 452, FutexWake = 454, FutexWait = 455, FutexRequeue = 456,
#pragma warning restore CS1591, CA1707, SA1300, IDE1006
}
