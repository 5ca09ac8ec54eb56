using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Isolation;
using Lamina.Vmm;

namespace Lamina.Cli.Isolation;

/// <summary>
/// Takes from a machine's process, before the guest's first instruction, what it does not need: system calls, files, capabilities, new privileges, and room in the host's tables. What the
/// kernel does not give is left out, and said. <c>SECURITY.md</c> says against whom this is, and <c>docs/adr/0022-sandbox.md</c> why it is done so.
/// </summary>
internal sealed class Sandbox
{
    // As many as a shared folder may have open, and a machine's own.
    private const ulong MaximumFiles = 65536 + 4096;
    // The runtime: its own files, libraries, and what the kernel tells of this process and of memory.
    private static readonly string[] RuntimePaths =
    [
        AppContext.BaseDirectory, RuntimeEnvironment.GetRuntimeDirectory(), "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf",
        "/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo", "/sys/fs/cgroup", "/sys/devices/system", "/sys/kernel/mm", "/dev/urandom",
    ];

    private static readonly string[] ProcessPaths = ["/proc/self", "/proc/meminfo", "/proc/stat", "/proc/cpuinfo", "/proc/sys/vm"];

    private readonly SandboxNeeds _needs;
    private readonly List<string> _applied = [];
    private readonly List<string> _missing = [];
    private SystemCallFilter? _processorFilter;
    private SystemCallFilter? _eventLoopFilter;
    private Task<(PrivateNamespaces? Made, int Error)>? _namespaces;
    private volatile bool _filters;

    /// <summary>Makes one that is not on yet.</summary>
    /// <param name="needs">What stays possible.</param>
    public Sandbox(SandboxNeeds needs)
    {
        _needs = needs;
    }

    /// <summary>What is on.</summary>
    public IReadOnlyList<string> Applied => _applied;

    /// <summary>What could not be had, and why.</summary>
    public IReadOnlyList<string> Missing => _missing;

    /// <summary>Whether the process is in it.</summary>
    public bool IsOn { get; private set; }

    /// <summary>How long <see cref="Enter"/> took.</summary>
    public TimeSpan Duration { get; private set; }

    /// <summary>Called by threads that have begun, with their kind; for tests that look around from inside.</summary>
    public Action<MachineThread>? ThreadEntered { get; init; }

    /// <summary>Begins with what takes a while, beside whatever else is done until <see cref="Enter"/>.</summary>
    public void Prepare()
    {
        List<VisiblePath> paths =
        [
            .. RuntimePaths.Where(static p => p.Length > 0).Select(static p => new VisiblePath(p, IsReadOnly: true)),
            new("/proc", IsReadOnly: false), new("/dev/null", IsReadOnly: false), new("/dev/kvm", IsReadOnly: false),
            .. _needs.Shares.Select(static s => new VisiblePath(Path.GetFullPath(s.Folder), s.IsReadOnly)),
            .. _needs.SocketFolders.Append(_needs.LogFolder).OfType<string>().Select(static f => new VisiblePath(Path.GetFullPath(f), IsReadOnly: false)),
        ];
        _namespaces = Task.Run(() => (PrivateNamespaces.TryCreate(paths, network: _needs.ConnectsToHost, out int error), error));
    }

    /// <summary>Puts it on all threads of the process. Those that begin later are in it, too.</summary>
    public void Enter()
    {
        long began = Stopwatch.GetTimestamp();
        if (SystemCallFilter.IsSupported)
        {
            LimitResources();
            RestrictThreads();
            FilterCalls();
        }
        else
        {
            _missing.Add("all of it (it is written for x86-64)");
        }

        IsOn = true;
        Duration = Stopwatch.GetElapsedTime(began);
    }

    /// <summary>On a thread that has begun, before it does anything: takes from it what its kind does not need.</summary>
    public void OnThread(MachineThread thread)
    {
        if (_filters && (thread == MachineThread.Processor ? _processorFilter : _eventLoopFilter)?.InstallOnThread() is { } error and not 0)
        {
            Fail($"the filter of a {thread} thread", error);
        }

        ThreadEntered?.Invoke(thread);
    }

    /// <summary>In a few words.</summary>
    public string Describe() => !IsOn ? "off" : _applied.Count == 0 ? "nothing" : string.Join(", ", _applied);

    /// <summary>Adds to why something could not be opened that a process in a sandbox opens nothing by its path.</summary>
    public string Explain(string reason, bool wasPassed) =>
        IsOn && !wasPassed && reason.Contains("Permission denied", StringComparison.Ordinal)
            ? $"{reason.TrimEnd('.')}. The machine's process is confined, and is given open files (docs/control-socket.md)."
            : reason;

    private void LimitResources()
    {
        if (Succeed(ResourceLimits.SetFiles(MaximumFiles), "limits") & Succeed(ResourceLimits.ForbidRest(), "limits"))
        {
            _applied.Add("limits");
        }
    }

    private void RestrictThreads()
    {
        using FolderFence? fence = FolderFence.TryCreate(out int problem);
        if (fence == null)
        {
            Fail("Landlock", problem);
        }
        else
        {
            Fence(fence);
        }

        (PrivateNamespaces? namespaces, problem) = _namespaces?.GetAwaiter().GetResult() ?? (null, 0);
        using PrivateNamespaces? closed = namespaces;
        Succeed(problem, "namespaces of its own");

        // Root's shares act as the guest's root; all else root here can do goes.
        if (Succeed(AllThreads.Restrict(namespaces, fence, _needs.Shares.Count > 0 ? HostCapabilities.ForFolders : HostCapabilities.None), "namespaces, Landlock and capabilities"))
        {
            if (namespaces != null)
            {
                _applied.Add(_needs.ConnectsToHost ? "a root, messages and a network of its own" : "a root and messages of its own");
            }

            if (fence != null)
            {
                _applied.Add(string.Create(CultureInfo.InvariantCulture, $"Landlock {fence.Version}"));
            }

            _applied.Add("no new privileges");
            _applied.Add("no capabilities");
        }
    }

    private void FilterCalls()
    {
        _processorFilter = SandboxPolicies.CreateForProcessor(_needs).Build();
        _eventLoopFilter = SandboxPolicies.CreateForEventLoop(_needs).Build();
        if (Succeed(SandboxPolicies.CreateForProcess(_needs).Build().InstallOnProcess(), "seccomp"))
        {
            _filters = true;
            _applied.Add("seccomp");
        }
    }

    private void Fence(FolderFence fence)
    {
        foreach (string path in RuntimePaths.Concat(ProcessPaths))
        {
            if (path.Length > 0)
            {
                fence.Allow(path, FolderRights.Read);
            }
        }

        // Names of threads.
        fence.Allow("/proc/self/task", FolderRights.Read | FolderRights.WriteFile);
        fence.Allow("/dev/null", FolderRights.ReadFile | FolderRights.WriteFile);

        // The machine may be moved to KVM.
        fence.Allow("/dev/kvm", FolderRights.ReadFile | FolderRights.WriteFile | FolderRights.ControlDevice);
        foreach (Arguments.ShareArgument share in _needs.Shares)
        {
            fence.Allow(share.Folder, share.IsReadOnly ? FolderRights.Read : FolderRights.Change);
        }

        foreach (string folder in _needs.SocketFolders)
        {
            fence.Allow(folder, FolderRights.RemoveFile);
        }

        if (_needs.LogFolder is { } logs)
        {
            fence.Allow(logs, FolderRights.ReadFile | FolderRights.WriteFile | FolderRights.MakeFile | FolderRights.RemoveFile);
        }
    }

    private bool Succeed(int error, string what)
    {
        if (error != 0)
        {
            Fail(what, error);
        }

        return error == 0;
    }

    private void Fail(string what, int error) => _missing.Add($"{what} ({new SystemCallException("", error).Reason})");
}
