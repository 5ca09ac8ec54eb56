using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>Machines that run without a terminal, and the commands that find them. The guest sends each byte that it gets back with 1 added.</summary>
public sealed class ControlTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-control").FullName;
    private readonly string _kernel;
    private readonly Dictionary<string, string> _environment;

    public ControlTests()
    {
        _kernel = Path.Combine(_directory, "kernel");
        File.WriteAllBytes(_kernel, TinyKernel.Build(TinyKernel.Echo));
        _environment = new Dictionary<string, string>
        {
            ["XDG_DATA_HOME"] = LaminaProcess.NoImages,
            ["XDG_RUNTIME_DIR"] = _directory,
            ["XDG_STATE_HOME"] = Path.Combine(_directory, "state"),
        };
    }

    public void Dispose()
    {
        foreach (string name in List().Select(m => m.GetProperty("name").GetString()!))
        {
            Lamina("kill", name);
        }

        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void A_detached_machine_is_listed_typed_into_paused_moved_and_ended()
    {
        Start("echo");
        JsonElement machine = Assert.Single(List());
        Assert.Equal("echo", machine.GetProperty("name").GetString());
        Assert.Equal("running", machine.GetProperty("state").GetString());
        Assert.True(machine.GetProperty("detached").GetBoolean());
        Assert.Contains("a machine named 'echo' is running", Run(125, "run", "--detach", "--name", "echo", "--kernel", _kernel).Error, StringComparison.Ordinal);

        using (Attachment first = Attach("echo"))
        {
            first.Expect(">");
            first.Type("HAL");
            first.Expect("IBM");
            using Attachment second = Attach("echo");
            second.Expect(">IBM");
            second.Type("a");
            first.Expect("b");
            Assert.Equal(2, Status("echo").GetProperty("attachedConsoles").GetInt32());
        }

        Run(0, "pause", "echo");
        Assert.Equal("paused", Status("echo").GetProperty("state").GetString());
        Run(0, "resume", "echo", "--accel", "interpreter");
        Assert.Equal("running", Status("echo").GetProperty("state").GetString());
        Assert.Equal("interpreter", Status("echo").GetProperty("accelerator").GetString());
        using (Attachment later = Attach("echo"))
        {
            later.Type("y");
            later.Expect("z");
        }

        Run(0, "reboot", "echo"); // By keys, at which this guest does not look.
        Assert.Contains("The guest is not asleep", Run(125, "wake", "echo").Error, StringComparison.Ordinal);
        Assert.Contains("--accel 'nothing' is not known", Run(125, "resume", "echo", "--accel", "nothing").Error, StringComparison.Ordinal);
        using (JsonDocument statistics = JsonDocument.Parse(Run(0, "stats", "echo", "--json").Text))
        {
            Assert.True(statistics.RootElement.GetProperty("instructions").GetUInt64() > 0, "no instruction was counted");
            Assert.True(statistics.RootElement.TryGetProperty("translatedBlocks", out _), "translated blocks are not told");
            Assert.True(statistics.RootElement.GetProperty("consoleBytes").GetInt64() >= 6, "the console's bytes were not counted");
        }

        Assert.StartsWith(">IBM", Run(0, "logs", "echo").Text, StringComparison.Ordinal);
        Run(0, "reset", "echo");
        using (Attachment again = Attach("echo"))
        {
            again.Expect(">IBMbz>");
        }

        LaminaResult refused = Run(125, "stop", "echo", "--timeout", "0", "--no-force");
        Assert.Contains("did not switch itself off in time", refused.Error, StringComparison.Ordinal);
        LaminaResult stopped = Run(0, "stop", "echo", "--timeout", "0.1");
        Assert.Contains("did not switch itself off, and was ended", stopped.Error, StringComparison.Ordinal);
        Assert.Empty(List());
        Assert.StartsWith(">IBM", Run(0, "logs", "echo").Text, StringComparison.Ordinal);
        Assert.Contains("there is no machine 'echo'; none is running", Run(125, "pause", "echo").Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_whose_process_was_killed_is_gone()
    {
        Start("web");
        int process = Status("web").GetProperty("pid").GetInt32();
        using (Process worker = Process.GetProcessById(process))
        {
            worker.Kill();
            Assert.True(worker.WaitForExit(Patience), "the worker did not end");
        }

        Assert.Empty(List());
        Start("web");
        Assert.NotEqual(process, Status("web").GetProperty("pid").GetInt32());
        Run(0, "kill", "web");
        Assert.Empty(List());
    }

    [Fact]
    public void A_snapshot_is_taken_restored_and_cloned_while_the_machine_goes_on()
    {
        Start("first");
        using (Attachment first = Attach("first"))
        {
            first.Expect(">");
            first.Type("HAL");
            first.Expect("IBM");
        }

        string snapshot = Path.Combine(_directory, "snapshot");
        Assert.Contains("stood still", Run(0, "snapshot", "first", snapshot).Text, StringComparison.Ordinal);
        Assert.Contains("exists already", Run(125, "snapshot", "first", snapshot).Error, StringComparison.Ordinal);
        Assert.Equal("second\n", Run(0, "restore", snapshot, "--detach", "--name", "second", "--accel", "interpreter", "--verify").Text);
        Assert.Equal("third\n", Run(0, "clone", "first", "third").Text);
        string changes = Path.Combine(_directory, "changes");
        string packed = Path.Combine(_directory, "packed");
        Assert.Contains("not the last snapshot", Run(125, "snapshot", "first", changes, "--base", snapshot).Error, StringComparison.Ordinal);
        Run(0, "snapshot", "second", changes, "--base", snapshot);
        Run(0, "snapshot", "second", packed, "--base", changes, "--compress");
        Assert.Equal("fourth\n", Run(0, "restore", packed, "--detach", "--name", "fourth", "--verify", "--step-clock").Text);
        Assert.Contains("--publish needs a network card", Run(125, "restore", packed, "--publish", "8080:80").Error, StringComparison.Ordinal);
        foreach (string name in (string[])["first", "second", "third", "fourth"])
        {
            using Attachment console = Attach(name);
            console.Type("a");
            console.Expect("b");
        }

        Assert.Equal("interpreter", Status("second").GetProperty("accelerator").GetString());
        string memory = Path.Combine(snapshot, "memory.bin");
        using (FileStream file = new(memory, FileMode.Open, FileAccess.Write))
        {
            file.SetLength(4096);
        }

        Assert.Contains("'memory.bin' is not as long", Run(125, "restore", snapshot, "--detach").Error, StringComparison.Ordinal);
        Assert.Equal(4, List().Length);
    }

    [Fact]
    public void A_machine_that_cannot_start_says_why_to_who_detached_it()
    {
        File.WriteAllText(_kernel, "no kernel");
        LaminaResult result = Run(125, "run", "--detach", "--kernel", _kernel);
        Assert.Contains("kernel", result.Error, StringComparison.Ordinal);
        Assert.Empty(List());
    }

    private void Start(string name)
    {
        LaminaResult started = Run(0, "run", "--detach", "--name", name, "--memory", "16M", "--accel", "translator", "--kernel", _kernel);
        Assert.Equal(name + "\n", started.Text);
    }

    private JsonElement[] List()
    {
        using JsonDocument all = JsonDocument.Parse(Run(0, "ps", "--json").Text);
        return [.. all.RootElement.EnumerateArray().Select(e => e.Clone())];
    }

    private JsonElement Status(string name)
    {
        using JsonDocument status = JsonDocument.Parse(Run(0, "status", name, "--json").Text);
        return status.RootElement.Clone();
    }

    private LaminaResult Run(int expected, params string[] arguments)
    {
        LaminaResult result = Lamina(arguments);
        Assert.True(result.Status == expected, $"lamina {string.Join(' ', arguments)} ended with {result.Status}, not {expected}: {result.Error}{result.Text}");
        return result;
    }

    private LaminaResult Lamina(params string[] arguments) => LaminaProcess.Run(null, _environment, arguments);

    private Attachment Attach(string name) => new(name, _environment);

    /// <summary>A <c>lamina console</c> on pipes.</summary>
    private sealed class Attachment : IDisposable
    {
        private readonly Process _process;
        private readonly StringBuilder _shown = new();
        private int _seen;

        public Attachment(string name, Dictionary<string, string> environment)
        {
            ProcessStartInfo start = new("dotnet", ["exec", LaminaProcess.Program, "console", name]) { RedirectStandardInput = true, RedirectStandardOutput = true };
            foreach ((string key, string value) in environment)
            {
                start.Environment[key] = value;
            }

            _process = Process.Start(start)!;
            new Thread(Read) { IsBackground = true }.Start();
        }

        public void Type(string text)
        {
            _process.StandardInput.Write(text);
            _process.StandardInput.Flush();
        }

        public void Expect(string text)
        {
            Stopwatch time = Stopwatch.StartNew();
            lock (_shown)
            {
                int at;
                while ((at = _shown.ToString().IndexOf(text, _seen, StringComparison.Ordinal)) < 0)
                {
                    TimeSpan left = Patience - time.Elapsed;
                    Assert.True(left > TimeSpan.Zero, $"the console did not show '{text}' after '{_shown.ToString()[.._seen]}', but '{_shown.ToString()[_seen..]}'");
                    Monitor.Wait(_shown, left);
                }

                _seen = at + text.Length;
            }
        }

        public void Dispose()
        {
            _process.Kill();
            _process.WaitForExit();
            _process.Dispose();
        }

        private void Read()
        {
            char[] buffer = new char[100];
            int count;
            while ((count = _process.StandardOutput.Read(buffer)) > 0)
            {
                lock (_shown)
                {
                    _shown.Append(buffer, 0, count);
                    Monitor.PulseAll(_shown);
                }
            }
        }
    }
}
