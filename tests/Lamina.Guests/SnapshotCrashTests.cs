using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Lamina.Guests.Processes;
using Lamina.Vmm.Snapshots;

namespace Lamina.Guests;

/// <summary>
/// Whoever takes part in a snapshot is killed at some moment of it, the machine's process and the client by turns: there is all of it or nothing of its name, a machine whose client was killed
/// goes on, and what was left is removed with the next one. <c>LAMINA_CRASH_ROUNDS</c> says how often; 6 times otherwise.
/// </summary>
public sealed class SnapshotCrashTests : IDisposable
{
    private const string Switch = "LAMINA_CRASH_ROUNDS";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    // Fills 64 MiB from 16 MiB on with their addresses: mov edi, 1000000h; mov ecx, 1000000h; l: mov [edi], edi; add edi, 4; loop l.
    private static readonly byte[] Fill = [0xbf, 0x00, 0x00, 0x00, 0x01, 0xb9, 0x00, 0x00, 0x00, 0x01, 0x89, 0x3f, 0x83, 0xc7, 0x04, 0xe2, 0xf9];
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-crash").FullName;
    private readonly string _kernel;
    private readonly string _place;
    private readonly Dictionary<string, string> _environment;

    public SnapshotCrashTests()
    {
        _kernel = Path.Combine(_directory, "kernel");
        _place = Directory.CreateDirectory(Path.Combine(_directory, "place")).FullName;
        File.WriteAllBytes(_kernel, TinyKernel.Build([.. Fill, .. TinyKernel.Echo]));
        _environment = new Dictionary<string, string>
        {
            ["XDG_DATA_HOME"] = LaminaProcess.NoImages,
            ["XDG_RUNTIME_DIR"] = _directory,
            ["XDG_STATE_HOME"] = Path.Combine(_directory, "state"),
        };
    }

    public void Dispose()
    {
        LaminaProcess.Run(null, _environment, "kill", "full");
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void There_is_all_of_a_snapshot_or_nothing_of_its_name()
    {
        int rounds = int.TryParse(Environment.GetEnvironmentVariable(Switch), NumberStyles.None, CultureInfo.InvariantCulture, out int wanted) ? wanted : 6;
        Start();
        string whole = Path.Combine(_place, "whole");
        TimeSpan length = Take(whole, null);
        Check(whole);
        Random random = new(3);
        int cut = 0;
        for (int round = 0; round < rounds; round++)
        {
            string target = Path.Combine(_place, string.Create(CultureInfo.InvariantCulture, $"round{round}"));
            bool worker = round % 2 == 0;
            Take(target, (worker ? Worker() : 0, length * random.NextDouble()));
            cut += Directory.Exists(target) ? 0 : 1;
            if (Directory.Exists(target))
            {
                Check(target);
                Directory.Delete(target, recursive: true);
            }

            if (worker)
            {
                // It has outlived a snapshot that was complete before.
                LaminaProcess.Run(null, _environment, "kill", "full");
                Start();
            }
            else
            {
                Assert.Equal("running", Status().GetProperty("state").GetString());
            }
        }

        Assert.True(cut > 0, "no snapshot was interrupted: that proves nothing");
        string last = Path.Combine(_place, "last");
        Take(last, null);
        Check(last);
        Assert.Equal([last, whole], Directory.GetFileSystemEntries(_place).Order(StringComparer.Ordinal));
    }

    private static void Check(string path)
    {
        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        snapshot.Verify();
    }

    // Has a snapshot taken, and kills a process, or the client if that is 0, a while after files have appeared. Answers how long it took since then.
    private TimeSpan Take(string target, (int Process, TimeSpan After)? kill)
    {
        ProcessStartInfo start = new("dotnet", ["exec", LaminaProcess.Program, "snapshot", "full", target]) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach ((string key, string value) in _environment)
        {
            start.Environment[key] = value;
        }

        int before = Directory.GetDirectories(_place, ".*.partial").Length;
        using FileSystemWatcher watcher = new(_place) { EnableRaisingEvents = true };
        using ManualResetEventSlim appeared = new();
        watcher.Created += (_, e) => appeared.Set();
        using Process client = Process.Start(start)!;
        Task<string> error = client.StandardError.ReadToEndAsync();
        while (!appeared.Wait(20) && !client.HasExited)
        {
            // It is still starting.
        }

        Stopwatch time = Stopwatch.StartNew();
        if (kill is { } cut && !client.WaitForExit(cut.After))
        {
            using Process victim = cut.Process == 0 ? Process.GetProcessById(client.Id) : Process.GetProcessById(cut.Process);
            victim.Kill();
            Assert.True(victim.WaitForExit(Patience), "the killed process did not end");
        }

        Assert.True(client.WaitForExit(Patience), $"the snapshot neither came nor failed, with {before} others left before");
        Assert.True(kill != null || client.ExitCode == 0, $"the snapshot was refused: {error.GetAwaiter().GetResult()}");
        return time.Elapsed;
    }

    private void Start()
    {
        LaminaResult started = LaminaProcess.Run(null, _environment, "run", "--detach", "--name", "full", "--memory", "96M", "--accel", "translator", "--kernel", _kernel);
        Assert.True(started.Status == 0, started.Error);
        string shown = "";
        Stopwatch time = Stopwatch.StartNew();
        while (!shown.Contains('>', StringComparison.Ordinal))
        {
            Assert.True(time.Elapsed < Patience, "the guest did not fill its memory");
            shown = LaminaProcess.Run(null, _environment, "logs", "full").Text;
        }
    }

    private int Worker() => Status().GetProperty("pid").GetInt32();

    private JsonElement Status()
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, "status", "full", "--json");
        Assert.True(result.Status == 0, result.Error);
        using JsonDocument status = JsonDocument.Parse(result.Text);
        return status.RootElement.Clone();
    }
}
