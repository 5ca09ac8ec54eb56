using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Lamina.Cli.Arguments;
using Lamina.Cli.Control;
using Lamina.Cli.Images.Packages;
using Lamina.Management.Machines;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Lifecycle;

/// <summary>The commands for machines that run: <c>ps</c>, <c>status</c>, <c>stats</c>, <c>pause</c>, <c>resume</c>, <c>wake</c>, <c>reboot</c>, <c>reset</c>, <c>memory</c>, <c>stop</c>, <c>kill</c>, <c>console</c> and <c>logs</c>.</summary>
internal sealed class LifecycleCommands
{
    private static readonly TimeSpan StatusTimeout = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan EndTimeout = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan KillTimeout = TimeSpan.FromSeconds(5);
    private readonly TextWriter _output;
    private readonly Argument<string> _name = new("NAME") { Description = "The machine, as 'lamina ps' shows it." };
    private readonly Option<bool> _json = new("--json") { Description = "Write JSON." };
    private readonly Option<string> _accel = new("--accel") { HelpName = "NAME", Description = "Go on under another accelerator: auto, kvm, translator or interpreter." };
    private readonly Option<string> _timeout = new("--timeout", "-t") { HelpName = "SECONDS", Description = "How long the guest has to switch itself off. [default: 30]" };
    private readonly Option<bool> _noForce = new("--no-force") { Description = "Leave a guest that does not switch itself off in time running." };
    private readonly Option<bool> _follow = new("--follow", "-f") { Description = "Go on with what the console will show." };
    private readonly Argument<string> _size = new("SIZE") { Description = "The memory, such as 1G. The guest gives the rest back, and gets more up to --max-memory." };
    private readonly Argument<string> _directory = new("DIR") { Description = "The directory, which is made." };
    private readonly Option<string> _base = new("--base") { HelpName = "DIR0", Description = "Save only what has changed since this snapshot, the machine's last one, which is needed to restore it." };
    private readonly Option<bool> _askGuest = new("--ask-guest") { Description = "Have the guest suspend itself before, and go on afterwards. Guests of Xen alone know how." };
    private readonly Option<bool> _compress = new("--compress") { Description = "Compress memory. Restoring then reads all of it first." };
    private readonly Argument<string> _newName = new("NEWNAME") { Description = "The copy's name." };
    private readonly Option<bool> _allowHostPaths = RestoreCommandSyntax.CreateAllowHostPaths();
    private readonly Dictionary<Command, Action<ParseResult>> _actions = [];

    public LifecycleCommands(TextWriter output)
    {
        _output = output;
        Add(new Command("ps", "List the machines that run.") { _json }, List);
        Add(new Command("status", "Say what a machine is and how it does.") { _name, _json }, ShowStatus);
        Add(new Command("stats", "Show what a machine has counted.") { _name, _json }, ShowStatistics);
        Add(new Command("pause", "Have a machine stand still.") { _name }, r => Ask(r, ControlVerbs.Pause));
        Add(new Command("resume", "Have a machine go on.") { _name, _accel }, Resume);
        Add(new Command("wake", "Wake a machine whose guest has suspended itself to RAM.") { _name }, r => Ask(r, ControlVerbs.Wake));
        Add(new Command("reboot", "Ask a machine's guest to start again.") { _name }, r => Ask(r, ControlVerbs.Reboot));
        Add(new Command("reset", "Press a machine's reset button.") { _name }, r => Ask(r, ControlVerbs.Reset));
        Add(new Command("memory", "Say how much memory a machine's guest is to have.") { _name, _size }, SetMemory);
        Add(new Command("stop", "Press a machine's power button, and end it if that does not help.") { _name, _timeout, _noForce }, Stop);
        Add(new Command("kill", "End a machine at once.") { _name }, Kill);
        Add(new Command("console", "Sit down at a machine's console. Ctrl-A d leaves it.") { _name }, Attach);
        Add(new Command("snapshot", "Save a machine into a new directory, for 'lamina restore'. It goes on.") { _name, _directory, _base, _compress, _askGuest }, Save);
        Add(new Command("clone", "Have a copy of a machine go on beside it, detached.") { _name, _newName, _allowHostPaths }, Clone);
        Add(new Command("logs", "Show what a machine's console has shown; also of a detached machine that has ended.") { _name, _follow }, ShowLogs);
    }

    /// <summary>The commands.</summary>
    public IEnumerable<Command> Commands => _actions.Keys;

    /// <summary>Does what was parsed, if it is one of these commands.</summary>
    /// <returns>Whether it is.</returns>
    /// <exception cref="LaminaException">It cannot be done.</exception>
    public bool TryRun(ParseResult result)
    {
        if (!_actions.TryGetValue(result.CommandResult.Command, out Action<ParseResult>? action))
        {
            return false;
        }

        action(result);
        return true;
    }

    private void Add(Command command, Action<ParseResult> action) => _actions.Add(command, action);

    private void List(ParseResult result)
    {
        MachineDirectory machines = MachineDirectory.Open();
        MachineStatus[] all = [.. machines.List().Select(n => FindStatus(machines, n)).OfType<MachineStatus>()];
        if (result.GetValue(_json))
        {
            WriteJson(all, static j => j.MachineStatusArray);
        }
        else
        {
            MachineTable.Write(_output, all);
        }
    }

    // Null for a machine that has ended meanwhile.
    private static MachineStatus? FindStatus(MachineDirectory machines, string name)
    {
        try
        {
            using ControlClient client = machines.Connect(name, StatusTimeout);
            return GetStatus(client);
        }
        catch (LaminaException)
        {
            return null;
        }
        catch (ControlException)
        {
            return machines.Contains(name) ? new MachineStatus { Name = name, State = MachineState.Unresponsive, Pid = machines.FindProcess(name) ?? 0 } : null;
        }
    }

    private static MachineStatus GetStatus(ControlClient client) =>
        client.Call(ControlVerbs.Status, new NoArguments(), ControlJson.Default.NoArguments, ControlJson.Default.MachineStatus);

    private void ShowStatus(ParseResult result)
    {
        MachineStatus status = MachineCall.Run(MachineDirectory.Open(), result.GetValue(_name)!, GetStatus);
        if (result.GetValue(_json))
        {
            WriteJson(status, static j => j.MachineStatus);
        }
        else
        {
            MachineReport.Write(_output, status);
        }
    }

    private void ShowStatistics(ParseResult result)
    {
        MachineStatistics statistics = MachineCall.Run(
            MachineDirectory.Open(),
            result.GetValue(_name)!,
            static c => c.Call(ControlVerbs.Statistics, new NoArguments(), ControlJson.Default.NoArguments, ControlJson.Default.MachineStatistics));
        if (result.GetValue(_json))
        {
            WriteJson(statistics, static j => j.MachineStatistics);
        }
        else
        {
            MachineReport.Write(_output, statistics);
        }
    }

    private void SetMemory(ParseResult result)
    {
        string text = result.GetValue(_size)!;
        MemoryArguments arguments = MemorySize.TryParse(text, out ulong bytes, out bool hasUnit) && hasUnit
            ? new MemoryArguments { Bytes = bytes }
            : throw new LaminaException($"'{text}' is not a size. Write a number and a unit, such as 512M or 2G.");
        MachineCall.Run(MachineDirectory.Open(), result.GetValue(_name)!, c => c.Call(ControlVerbs.Memory, arguments, ControlJson.Default.MemoryArguments, ControlJson.Default.BalloonStatistics));
    }

    private void Resume(ParseResult result)
    {
        ResumeArguments arguments = new() { Accelerator = result.GetValue(_accel) };
        MachineCall.Run(MachineDirectory.Open(), result.GetValue(_name)!, c => c.Call(ControlVerbs.Resume, arguments, ControlJson.Default.ResumeArguments));
    }

    // What needs no arguments and gives nothing.
    private void Ask(ParseResult result, string verb) =>
        MachineCall.Run(MachineDirectory.Open(), result.GetValue(_name)!, c => c.Call(verb, new NoArguments(), ControlJson.Default.NoArguments));

    private void Stop(ParseResult result)
    {
        string name = result.GetValue(_name)!;
        StopArguments arguments = new() { Force = !result.GetValue(_noForce) };
        if (result.GetValue(_timeout) is { } text)
        {
            arguments = double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds is >= 0 and <= 86400
                ? arguments with { TimeoutSeconds = seconds }
                : throw new LaminaException($"--timeout '{text}' is not a number of seconds from 0 to 86400.");
        }

        MachineDirectory machines = MachineDirectory.Open();
        StopResult stopped = MachineCall.Run(machines, name, c => c.Call(ControlVerbs.Stop, arguments, ControlJson.Default.StopArguments, ControlJson.Default.StopResult));
        if (stopped.Forced)
        {
            Output.Messages.Write($"the guest did not switch itself off, and was ended");
        }

        WaitForEnd(machines, name);
    }

    private void Kill(ParseResult result)
    {
        string name = result.GetValue(_name)!;
        MachineDirectory machines = MachineDirectory.Open();
        try
        {
            using ControlClient client = machines.Connect(name, KillTimeout);
            client.Call(ControlVerbs.Kill, new NoArguments(), ControlJson.Default.NoArguments);
        }
        catch (ControlException) when (machines.FindProcess(name) is { } number)
        {
            // It does not listen to reason. Its lock is held, so the number is still its own.
            KillProcess(number);
        }
        catch (ControlException e)
        {
            throw new LaminaException($"the machine '{name}' does not answer, and its process is not known: {e.Message}", e);
        }

        WaitForEnd(machines, name);
    }

    private static void KillProcess(int number)
    {
        try
        {
            using Process process = Process.GetProcessById(number);
            process.Kill();
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            // It has ended, or WaitForEnd tells that it has not.
        }
    }

    private static void WaitForEnd(MachineDirectory machines, string name)
    {
        if (!machines.WaitForEnd(name, EndTimeout))
        {
            throw new LaminaException($"the machine '{name}' has ended, and its process has not.");
        }
    }

    private void Attach(ParseResult result)
    {
        string name = result.GetValue(_name)!;
        MachineDirectory machines = MachineDirectory.Open();
        MachineCall.Run(machines, name, c => new AttachedConsole(machines, name, c).Run());
    }

    private void Save(ParseResult result)
    {
        MachineDirectory machines = MachineDirectory.Open();
        SnapshotResult saved = Save(machines, result.GetValue(_name)!, result.GetValue(_directory)!, result.GetValue(_base), result.GetValue(_compress), result.GetValue(_askGuest));
        _output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"saved in {result.GetValue(_directory)}; the machine stood still for {saved.PauseSeconds * 1000:F1} ms"));
    }

    private static SnapshotResult Save(MachineDirectory machines, string name, string directory, string? basePath = null, bool compress = false, bool askGuest = false)
    {
        return MachineCall.Run(machines, name, c => SnapshotRequest.Make(c, directory, basePath, compress, askGuest));
    }

    // The copy has the files open, and needs their names no more, once it runs.
    private void Clone(ParseResult result)
    {
        string newName = result.GetValue(_newName)!;
        MachineDirectory machines = MachineDirectory.Open();
        if (!MachineName.IsValid(newName))
        {
            throw new LaminaException($"'{newName}' is not accepted as a name: {MachineName.Rule}.");
        }

        if (machines.Contains(newName))
        {
            throw new LaminaException($"a machine named '{newName}' is running. Choose another name.");
        }

        string directory = Path.Combine(CacheLocation.Find(Environment.GetEnvironmentVariable), "clones", Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(Path.GetDirectoryName(directory)!);
        Save(machines, result.GetValue(_name)!, directory);
        try
        {
            if (new DetachedLauncher(_output).Run(["restore", directory, "--detach", "--name", newName, .. result.GetValue(_allowHostPaths) ? (string[])[_allowHostPaths.Name] : []]) != ExitStatus.Success)
            {
                throw new LaminaException($"the copy of '{result.GetValue(_name)}' could not be started.");
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private void ShowLogs(ParseResult result)
    {
        string name = result.GetValue(_name)!;
        bool follow = result.GetValue(_follow);
        MachineDirectory machines = MachineDirectory.Open();
        if (machines.Contains(name))
        {
            MachineCall.Run(machines, name, c => LogOutput.Copy(c.OpenStream(ControlVerbs.Logs, new LogArguments { Follow = follow }, ControlJson.Default.LogArguments)));
        }
        else if (!LogOutput.TryCopyFiles(name))
        {
            machines.Check(name);
        }
    }

    private void WriteJson<T>(T value, Func<ControlJson, JsonTypeInfo<T>> type)
    {
        ControlJson json = new(new JsonSerializerOptions(ControlJson.Default.Options) { WriteIndented = true });
        _output.WriteLine(JsonSerializer.Serialize(value, type(json)));
    }
}
