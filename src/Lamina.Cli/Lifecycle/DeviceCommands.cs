using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Lamina.Cli.Arguments;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Lifecycle;

/// <summary><c>lamina device list|add|remove|resize|limit</c>: disks and network cards of a machine that runs.</summary>
internal sealed class DeviceCommands
{
    private readonly TextWriter _output;
    private readonly Argument<string> _name = new("NAME") { Description = "The machine, as 'lamina ps' shows it." };
    private readonly Argument<string> _device = new("DEVICE") { Description = "The device, as 'lamina device list' shows it." };
    private readonly Argument<string> _size = new("SIZE") { Description = "The disk's new size, such as 20G." };
    private readonly Argument<string> _limits = new("LIMITS") { Description = "iops=N (of a network card, pps=N), bps=SIZE and burst=MILLISECONDS, with commas between them; or none." };
    private readonly Option<bool> _json = new("--json") { Description = "Write JSON." };
    private readonly Option<string> _disk = new("--disk") { HelpName = "FILE", Description = "A disk image, with settings after commas, as for 'lamina run'." };
    private readonly Option<string> _net = new("--net") { HelpName = "WHERE", Description = "A network card, as for 'lamina run'." };
    private readonly Option<string[]> _publish = new("--publish") { HelpName = "PORTS", Description = "Lead a port of this host to the guest through it. May be repeated." };
    private readonly Option<string> _timeout = new("--timeout", "-t") { HelpName = "SECONDS", Description = "How long the guest has to give it up. [default: 10]" };
    private readonly Dictionary<Command, Action<ParseResult>> _actions = [];

    public DeviceCommands(TextWriter output)
    {
        _output = output;
        Command = new Command("device", "Attach and detach disks and network cards of a machine that runs.");
        Add(new Command("list", "List the disks and network cards.") { _name, _json }, List);
        Add(new Command("add", "Attach a disk or a network card.") { _name, _disk, _net, _publish }, Attach);
        Add(new Command("remove", "Have the guest give up a disk or a network card.") { _name, _device, _timeout }, Detach);
        Add(new Command("resize", "Make a disk larger.") { _name, _device, _size }, Resize);
        Add(new Command("limit", "Change the limits of a disk or a network card: what is not named has none.") { _name, _device, _limits }, Limit);
    }

    /// <summary>The command.</summary>
    public Command Command { get; }

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

    private void Add(Command command, Action<ParseResult> action)
    {
        Command.Add(command);
        _actions.Add(command, action);
    }

    private void List(ParseResult result)
    {
        DeviceResult[] devices = MachineCall.Run(
            MachineDirectory.Open(),
            result.GetValue(_name)!,
            static c => c.Call(ControlVerbs.Devices, new NoArguments(), ControlJson.Default.NoArguments, ControlJson.Default.DeviceResultArray));
        if (result.GetValue(_json))
        {
            _output.WriteLine(JsonSerializer.Serialize(devices, ControlJson.Default.DeviceResultArray));
            return;
        }

        foreach (DeviceResult device in devices)
        {
            Write(device);
        }
    }

    private void Attach(ParseResult result)
    {
        string? disk = result.GetValue(_disk);
        string? net = result.GetValue(_net);
        if ((disk == null) == (net == null))
        {
            throw new LaminaException("say what is to be attached: --disk FILE or --net WHERE.");
        }

        AttachArguments arguments = new() { Disk = disk == null ? null : CompletePath(disk), Network = net, Publish = result.GetValue(_publish) ?? [] };
        using OpenedDevice opened = OpenedDevice.Open(arguments);
        Write(MachineCall.Run(MachineDirectory.Open(), result.GetValue(_name)!, opened.Attach));
    }

    private void Detach(ParseResult result)
    {
        DetachArguments arguments = new() { Device = result.GetValue(_device)! };
        if (result.GetValue(_timeout) is { } text)
        {
            arguments = double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds is >= 0 and <= 86400
                ? arguments with { TimeoutSeconds = seconds }
                : throw new LaminaException($"--timeout '{text}' is not a number of seconds from 0 to 86400.");
        }

        MachineCall.Run(MachineDirectory.Open(), result.GetValue(_name)!, c => c.Call(ControlVerbs.Detach, arguments, ControlJson.Default.DetachArguments));
    }

    private void Resize(ParseResult result)
    {
        string text = result.GetValue(_size)!;
        ResizeDiskArguments arguments = MemorySize.TryParse(text, out ulong bytes, out _)
            ? new ResizeDiskArguments { Device = result.GetValue(_device)!, Bytes = bytes }
            : throw new LaminaException($"'{text}' is not a size. Write a number and a unit, such as 20G.");
        MachineCall.Run(MachineDirectory.Open(), result.GetValue(_name)!, c => c.Call(ControlVerbs.ResizeDisk, arguments, ControlJson.Default.ResizeDiskArguments));
    }

    private void Limit(ParseResult result)
    {
        string device = result.GetValue(_device)!;
        LimitArguments arguments = new() { Device = device, Limits = DeviceReport.CreateLimits(LimitArgument.Parse(device, result.GetValue(_limits)!)) };
        Write(MachineCall.Run(
            MachineDirectory.Open(),
            result.GetValue(_name)!,
            c => c.Call(ControlVerbs.Limit, arguments, ControlJson.Default.LimitArguments, ControlJson.Default.DeviceResult)));
    }

    // The machine's process may be in another directory.
    private static string CompletePath(string disk)
    {
        int comma = disk.IndexOf(',', StringComparison.Ordinal);
        string path = comma < 0 ? disk : disk[..comma];
        return path.Length == 0 ? disk : Path.GetFullPath(path) + disk[path.Length..];
    }

    private void Write(DeviceResult device) => _output.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{device.Name,-8} {(device.Slot is { } slot ? $"slot {slot,-2}" : "-      ")}  {device.Source}{(device.Limits is { } limits ? $"  {Describe(device.Name, limits)}" : "")}"));

    private static string Describe(string device, DeviceLimits limits) => string.Create(
        CultureInfo.InvariantCulture,
        $"{(limits.OperationsPerSecond is { } count ? $"{LimitArgument.GetOperations(device)}={count}," : "")}{(limits.BytesPerSecond is { } bytes ? $"bps={bytes}," : "")}burst={limits.BurstMilliseconds}");
}
