using System.Diagnostics;
using System.Globalization;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>
/// What a machine's process can no longer do when its guest runs, tried from inside on each kind of its threads, and seen from outside in what the kernel says of them.
/// </summary>
public sealed class IsolationTests : IDisposable
{
    private const int NotPermitted = 1;
    private const int NotThere = 2;
    private const int NotAllowedThere = 13;
    private const int BadDescriptor = 9;
    private const int ReadOnlyThere = 30;
    private const int NoSuchCall = 38;
    private const int BadSystemCall = 128 + 31;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-isolation").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Each_kind_of_thread_is_refused_what_it_does_not_need()
    {
        if (!IsOffered(out string reason))
        {
            Assert.Skip(reason);
        }

        // The machine ends by itself, when its threads have tried.
        LaminaResult result = LaminaProcess.Run(null, "run", "-v", "--memory", "16M", "--cpus", "2", "--kernel", WriteKernel(TinyKernel.TripleFault), "--sandbox-probe", "all");
        Dictionary<string, Dictionary<string, int>> kinds = result.Error.Split('\n').Select(static l => l.Split(' ')).Where(static w => w is ["probe", _, _, _])
            .GroupBy(static w => w[1]).ToDictionary(static g => g.Key, static g => g.ToDictionary(static w => w[2], static w => int.Parse(w[3], CultureInfo.InvariantCulture)));
        int outside = MayMakeNamespaces ? NotThere : NotAllowedThere;
        Assert.Equal(MayMakeNamespaces, result.Error.Contains("a root and messages of its own", StringComparison.Ordinal));
        Assert.Equal(["EventLoop", "Main", "Pool", "Processor"], kinds.Keys.Order(StringComparer.Ordinal));
        foreach ((string kind, Dictionary<string, int> tried) in kinds)
        {
            Assert.True(tried.Count > 40, $"On the thread {kind} only {tried.Count} things were tried: {result.Error}");
            bool isNarrow = kind is "Processor" or "EventLoop";
            foreach ((string what, int error) in tried)
            {
                int expected = what switch
                {
                    "ReadProcess" => 0,
                    "Clone3" => NoSuchCall,
                    "ListOutside" => NotAllowedThere,
                    "ReadOutside" => outside,

                    // Where the program itself lies below the directory for temporary files, that is in sight.
                    "WriteOutside" => isNarrow ? NotAllowedThere : error == ReadOnlyThere && MayMakeNamespaces ? ReadOnlyThere : outside,
                    "SeeOutside" => MayMakeNamespaces ? NotThere : 0,
                    "OpenForWriting" => isNarrow ? NotAllowedThere : 0,
                    "ReceiveDescriptors" => isNarrow ? NotPermitted : BadDescriptor,
                    "AcceptNobody" => isNarrow ? NotPermitted : BadDescriptor,
                    _ => NotPermitted,
                };
                Assert.True(error == expected, $"On the thread {kind}, {what} gave errno {error} instead of {expected}.");
            }
        }
    }

    [Theory]
    [InlineData("Execve")]
    [InlineData("Ptrace")]
    [InlineData("Bpf")]
    [InlineData("Setuid")]
    public void What_only_an_attack_does_ends_the_process(string call)
    {
        if (!IsOffered(out string reason))
        {
            Assert.Skip(reason);
        }

        LaminaResult result = LaminaProcess.Run(null, "run", "--memory", "16M", "--kernel", WriteKernel(TinyKernel.Halt), "--sandbox-probe", call);
        Assert.True(result.Status == BadSystemCall, $"The process ended with status {result.Status} instead of SIGSYS, after: {result.Error}");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void No_thread_is_left_out(bool connects)
    {
        if (!IsOffered(out string reason))
        {
            Assert.Skip(reason);
        }

        using Process process = Start("on", connects ? ["--vsock", $"3,{Path.Combine(_directory, "v")}"] : []);
        try
        {
            Dictionary<string, string>[] threads = WaitForProcessors(process, filters: 2);
            Assert.All(threads, static t => Assert.True(t["Seccomp"] == "2" && t["NoNewPrivs"] == "1" && t["CapEff"].Trim('0').Length == 0 && t["CapPrm"].Trim('0').Length == 0, $"The thread '{t["Name"]}' is not confined: {Describe(t)}"));
            foreach (string kind in (string[])["mnt", "net", "ipc"])
            {
                string[] spaces = [.. Directory.EnumerateDirectories($"/proc/{process.Id}/task").Select(t => new FileInfo($"{t}/ns/{kind}").LinkTarget!).Distinct()];
                Assert.True(spaces.Length == 1, $"The threads are in different namespaces: {string.Join(", ", spaces)}");
                Assert.Equal(MayMakeNamespaces && (kind != "net" || connects), spaces[0] != new FileInfo($"/proc/self/ns/{kind}").LinkTarget);
            }

            string[] limits = File.ReadAllLines($"/proc/{process.Id}/limits");
            Assert.Contains(limits, static l => l.StartsWith("Max core file size        0 ", StringComparison.Ordinal));
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }
    }

    [Fact]
    public void It_can_be_left_off()
    {
        using Process process = Start("off");
        try
        {
            Assert.All(WaitForProcessors(process, filters: 0), static t => Assert.True(t["Seccomp"] == "0", $"The thread '{t["Name"]}' is confined: {Describe(t)}"));
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }
    }

    // CAP_SYS_ADMIN.
    private static bool MayMakeNamespaces { get; } = (ulong.Parse(
        File.ReadAllLines("/proc/self/status").Single(static l => l.StartsWith("CapEff:", StringComparison.Ordinal))["CapEff:".Length..].Trim(),
        NumberStyles.HexNumber,
        CultureInfo.InvariantCulture) & (1UL << 21)) != 0;

    private static string Describe(Dictionary<string, string> thread) => string.Join(", ", thread.Where(static p => p.Key is "Seccomp" or "Seccomp_filters" or "NoNewPrivs" or "CapEff" or "CapPrm"));

    private static bool IsOffered(out string reason)
    {
        reason = "This kernel filters no system calls.";
        return File.ReadAllText("/proc/self/status").Contains("\nSeccomp_filters:", StringComparison.Ordinal);
    }

    private static Dictionary<string, string>[] WaitForProcessors(Process process, int filters)
    {
        Stopwatch watch = Stopwatch.StartNew();
        Dictionary<string, string>[] threads = [];
        while (watch.Elapsed < Patience && !process.HasExited)
        {
            threads = ReadThreads(process.Id);
            string count = filters.ToString(CultureInfo.InvariantCulture);
            if (Array.Exists(threads, t => t["Name"].EndsWith("cpu0", StringComparison.Ordinal) && t["Seccomp_filters"] == count)
                && Array.Exists(threads, t => t["Name"].EndsWith("loop", StringComparison.Ordinal) && t["Seccomp_filters"] == count))
            {
                return threads;
            }

            Thread.Yield();
        }

        Assert.Fail($"The threads of processor and event loop did not come to have {filters} filters. Threads: {string.Join("; ", threads.Select(static t => $"{t["Name"]}: {Describe(t)}"))}");
        return [];
    }

    // A thread may end while it is being read.
    private static Dictionary<string, string>[] ReadThreads(int process)
    {
        List<Dictionary<string, string>> all = [];
        foreach (string directory in Directory.EnumerateDirectories($"/proc/{process}/task"))
        {
            try
            {
                all.Add(File.ReadAllLines(Path.Combine(directory, "status")).Select(static l => l.Split(':', 2)).Where(static p => p.Length == 2).ToDictionary(static p => p[0], static p => p[1].Trim()));
            }
            catch (IOException)
            {
            }
        }

        return [.. all.Where(static t => t.ContainsKey("CapEff"))];
    }

    private Process Start(string sandbox, params string[] more)
    {
        // A short name, so that the kernel has all of the threads' names.
        string[] arguments = ["exec", LaminaProcess.Program, "run", "--memory", "16M", "--serial", "null", "--kernel", WriteKernel(TinyKernel.Halt), "--sandbox", sandbox, "--name", $"i{Environment.ProcessId % 10000}", .. more];
        Process process = Process.Start(new ProcessStartInfo("dotnet", arguments) { RedirectStandardInput = true })!;
        process.StandardInput.Close();
        return process;
    }

    private string WriteKernel(ReadOnlySpan<byte> code)
    {
        string path = Path.Combine(_directory, $"kernel-{Guid.NewGuid():N}");
        File.WriteAllBytes(path, TinyKernel.Build(code));
        return path;
    }
}
