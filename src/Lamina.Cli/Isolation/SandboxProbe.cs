using System.Collections.Concurrent;
using System.Globalization;
using Lamina.Interop.Isolation;
using Lamina.Vmm;

namespace Lamina.Cli.Isolation;

/// <summary>
/// Tries from inside a machine's process, on each kind of its threads, what the sandbox forbids, and writes a line for each: for tests, by a hidden option. All is tried with arguments
/// that change nothing where it is allowed.
/// </summary>
internal sealed class SandboxProbe(TextWriter output)
{
    private static readonly SystemCall[] Refused =
    [
        SystemCall.Fork, SystemCall.Vfork, SystemCall.Kill, SystemCall.Tkill, SystemCall.Bind, SystemCall.Listen, SystemCall.IoUringSetup, SystemCall.IoUringRegister, SystemCall.PidfdOpen,
        SystemCall.PidfdSendSignal, SystemCall.Mkdir, SystemCall.Mknod, SystemCall.Creat, SystemCall.Setsid, SystemCall.Setrlimit, SystemCall.Shmget, SystemCall.MqOpen, SystemCall.InotifyInit,
        SystemCall.Syslog, SystemCall.Chdir, SystemCall.Umask, SystemCall.SchedSetscheduler, SystemCall.Setxattr, SystemCall.NameToHandleAt, SystemCall.Sendmmsg, SystemCall.Personality,
    ];

    private readonly ConcurrentDictionary<string, bool> _seen = [];

    /// <summary>On a thread of a kind: tries all of it, once a kind.</summary>
    public void Try(string kind)
    {
        if (!_seen.TryAdd(kind, true))
        {
            return;
        }

        foreach (SystemCall call in Refused)
        {
            Write(kind, call.ToString(), SystemCallProbe.Try(call));
        }

        Write(kind, "SocketInternet", SystemCallProbe.Try(SystemCall.Socket, 2, 1, 0));
        Write(kind, "SocketNetlink", SystemCallProbe.Try(SystemCall.Socket, 16, 3, 0));
        Write(kind, "SocketpairDatagram", SystemCallProbe.Try(SystemCall.Socketpair, 1, 2, 0));
        Write(kind, "ClonedProcess", SystemCallProbe.Try(SystemCall.Clone, 0, 0, 0));
        Write(kind, "Clone3", SystemCallProbe.Try(SystemCall.Clone3, 0, 0));
        Write(kind, "TerminalInjection", SystemCallProbe.Try(SystemCall.Ioctl, -1, 0x5412, 0));
        Write(kind, "SignalToAnother", SystemCallProbe.Try(SystemCall.Tgkill, 1, 1, 0));
        Write(kind, "TapInterface", SystemCallProbe.Try(SystemCall.Ioctl, -1, 0x400454ca, 0));
        Write(kind, "OtherProcessLimits", SystemCallProbe.Try(SystemCall.Prlimit64, 1, 0, 0));

        // The kernel compares with what it was told, before it looks at addresses.
        Write(kind, "AcceptNobody", SystemCallProbe.Try(SystemCall.Accept, -1, 0, 0));
        Write(kind, "ReceiveDescriptors", SystemCallProbe.Try(SystemCall.Recvmsg, -1, 0, 0));
        Write(kind, "OpenForWriting", TryFile(() => File.Open("/dev/null", FileMode.Open, FileAccess.Write).Dispose()));
        Write(kind, "ReadOutside", TryFile(static () => File.ReadAllBytes("/etc/hostname")));
        Write(kind, "ListOutside", TryFile(static () => Directory.GetFileSystemEntries("/")));
        Write(kind, "WriteOutside", TryFile(static () => File.WriteAllText(Path.Combine(Path.GetTempPath(), $"lamina-probe-{Environment.ProcessId}"), "")));
        Write(kind, "SeeOutside", TryFile(static () => File.GetAttributes("/etc/hostname")));
        Write(kind, "ReadProcess", TryFile(static () => File.ReadAllBytes("/proc/self/status")));
    }

    /// <summary>On a thread of the machine.</summary>
    public void Try(MachineThread thread) => Try(thread.ToString());

    /// <summary>Makes a call that ends the process.</summary>
    public static void Die(string call) => SystemCallProbe.Try(Enum.Parse<SystemCall>(call));

    // As errno values: EACCES or EPERM if it is refused, ENOENT if it is out of sight.
    private static int TryFile(Action action)
    {
        try
        {
            action();
            return 0;
        }
        catch (UnauthorizedAccessException)
        {
            return Interop.ErrorNumber.AccessDenied;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return Interop.ErrorNumber.NoEntry;
        }
        catch (IOException e)
        {
            return e.HResult;
        }
    }

    private void Write(string kind, string what, int error)
    {
        lock (output)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"probe {kind} {what} {error}"));
        }
    }
}
