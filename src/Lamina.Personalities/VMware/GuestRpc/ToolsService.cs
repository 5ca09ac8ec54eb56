using System.Text;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Time;

namespace Lamina.Personalities.VMware.GuestRpc;

/// <summary>
/// The host's side of open-vm-tools: requests of programs in the guest, and commands to the tools' own program, which asks for them and says how they went (open-vm-tools, lib/rpcIn, services/vmtoolsd).
/// </summary>
public sealed class ToolsService
{
    private const ulong PingPeriod = 2_000_000_000;
    private const ulong LongestSilence = 30_000_000_000;

    // Of SetGuestInfo (open-vm-tools, lib/include/guestInfoConst.h).
    private const int HostNameKey = 1;
    private const int FullSystemNameKey = 5;
    private const int SystemDetailsKey = 11;

    // Bytes of what the guest says of itself.
    private const int MaximumInformation = 1024;

    private readonly ILock _gate;
    private readonly IMachineClock _clock;
    private readonly GuestVariables _variables = new();
    private RpcChannel? _channel;
    private Command _asked;
    private Command _wanted;
    private bool _isKnown;
    private ulong _heard;
    private ulong _pinged;

    /// <summary>Makes it; the lock is the personality's.</summary>
    internal ToolsService(ILock gate, IMachineClock clock)
    {
        _gate = gate;
        _clock = clock;
    }

    [Flags]
    private enum Command
    {
        None = 0,

        /// <summary>The tools' program is to say that it is one.</summary>
        Reset = 1,

        /// <summary>It is to say what it can do.</summary>
        RegisterCapabilities = 2,

        /// <summary>It is to set guestinfo.ip.</summary>
        BroadcastAddress = 4,

        /// <summary>It is to set the time of day.</summary>
        SynchronizeTime = 8,

        /// <summary>It is to switch the machine off.</summary>
        Halt = 16,

        /// <summary>It is to answer.</summary>
        Ping = 32,

        /// <summary>It is to start the system again.</summary>
        Reboot = 64,
    }

    /// <summary>Whether the tools answer; null if they do not run. Any thread.</summary>
    public bool? IsAlive
    {
        get
        {
            _gate.Enter();
            bool? alive = _isKnown ? _clock.Now - _heard < LongestSilence : null;
            _gate.Exit();
            return alive;
        }
    }

    /// <summary>The guest's name, a hostile string; null if it has not said. Any thread.</summary>
    public string? HostName => Find("lamina.host-name"u8);

    /// <summary>What system it is, a hostile string; null if it has not said. Any thread.</summary>
    public string? OperatingSystem => Find("lamina.system"u8);

    /// <summary>Its first address, a hostile string; null if it has not said. Any thread.</summary>
    public string? Address => Find("guestinfo.ip"u8);

    /// <summary>Has the tools switch the machine off. Any thread.</summary>
    /// <returns><c>false</c> if they do not run.</returns>
    public bool TryPowerOff() => TryAsk(Command.Halt);

    /// <summary>Has the tools start the system again. Any thread.</summary>
    /// <returns><c>false</c> if they do not run.</returns>
    public bool TryRestart() => TryAsk(Command.Reboot);

    /// <summary>The machine goes on after it stood still: the tools are to set the time of day. Any thread.</summary>
    public void Continue()
    {
        _gate.Enter();
        OnContinued();
        _gate.Exit();
    }

    internal void Reset()
    {
        _channel = null;
        _isKnown = false;
        _asked = _wanted = Command.None;
        _variables.Clear();
    }

    /// <summary>Whether commands go to a channel.</summary>
    internal bool IsListening(RpcChannel channel) => channel == _channel;

    /// <summary>Commands go to a channel, as before the machine was saved.</summary>
    internal void Listen(RpcChannel? channel) => _channel = channel;

    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _isKnown ? 1UL : 0);
        state.Write((ushort)(field + 1), _heard);
        state.Write((ushort)(field + 2), _pinged);
        state.Write((ushort)(field + 3), (ulong)_asked);
        state.Write((ushort)(field + 4), (ulong)_wanted);
        _variables.Save(state, (ushort)(field + 5));
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        const byte AllCommands = ((byte)Command.Reboot * 2) - 1;
        byte asked = 0;
        byte wanted = 0;
        bool valid = state.TryTake(field, ref _isKnown) & state.TryTake((ushort)(field + 1), ref _heard) & state.TryTake((ushort)(field + 2), ref _pinged)
            & state.TryTake((ushort)(field + 3), AllCommands, ref asked) & state.TryTake((ushort)(field + 4), AllCommands, ref wanted);
        (_asked, _wanted) = ((Command)asked, (Command)wanted);
        return _variables.Restore(state, (ushort)(field + 5)) && valid;
    }

    /// <summary>The machine goes on after it stood still.</summary>
    internal void OnContinued() => _wanted |= _isKnown ? Command.SynchronizeTime : Command.None;

    /// <summary>A program asks for commands. The last one that does gets them.</summary>
    internal void OnOpened(RpcChannel channel)
    {
        (_channel, _isKnown) = (channel, false);
        (_asked, _wanted) = (Command.None, Command.Reset);
    }

    internal void OnClosed(RpcChannel channel)
    {
        if (channel == _channel)
        {
            (_channel, _isKnown) = (null, false);
        }
    }

    /// <summary>Writes the next command.</summary>
    /// <returns>Its length; 0 for none.</returns>
    internal int WriteCommand(RpcChannel channel)
    {
        if (channel != _channel || _asked != Command.None)
        {
            return 0;
        }

        if (_isKnown && _clock.Now - _pinged >= PingPeriod)
        {
            _wanted |= Command.Ping;
        }

        // The lowest bit first.
        Command command = _wanted & (Command)(-(int)_wanted);
        ReadOnlySpan<byte> text = command switch
        {
            Command.Reset => "reset"u8,
            Command.RegisterCapabilities => "Capabilities_Register"u8,
            Command.BroadcastAddress => "Set_Option broadcastIP 1"u8,
            Command.SynchronizeTime => "Time_Synchronize 1"u8,
            Command.Halt => "OS_Halt"u8,
            Command.Reboot => "OS_Reboot"u8,
            Command.Ping => "ping"u8,
            _ => [],
        };
        text.CopyTo(channel.Room);
        _wanted &= ~command;
        _asked = command;
        _pinged = command == Command.Ping ? _clock.Now : _pinged;
        return text.Length;
    }

    /// <summary>The program has said how a command went, or has nothing to say.</summary>
    internal void OnReply(RpcChannel channel)
    {
        if (channel != _channel || channel.Incoming.IsEmpty)
        {
            return;
        }

        bool succeeded = channel.Incoming.StartsWith("OK"u8);
        if (_asked == Command.Reset && succeeded)
        {
            _isKnown = true;
            _wanted |= Command.RegisterCapabilities | Command.BroadcastAddress;
        }

        _heard = _clock.Now;
        _asked = Command.None;
    }

    /// <summary>Executes a program's request.</summary>
    /// <param name="request">Its words.</param>
    /// <param name="reply">Where the reply goes, which begins with 1 if it went well.</param>
    /// <returns>The reply's length.</returns>
    internal int Execute(ReadOnlySpan<byte> request, Span<byte> reply)
    {
        ReadOnlySpan<byte> rest = request.TrimEnd((byte)0);
        ReadOnlySpan<byte> command = TakeWord(ref rest);
        bool done;
        if (command.SequenceEqual("info-get"u8))
        {
            // A value that came in a message has room in one: its answer is shorter than the message was. Who saved it is not to be trusted.
            if (IsForGuest(rest) && _variables.TryGet(rest, out ReadOnlySpan<byte> value) && value.Length <= reply.Length - 2)
            {
                "1 "u8.CopyTo(reply);
                value.CopyTo(reply[2..]);
                return 2 + value.Length;
            }

            "0 No value found"u8.CopyTo(reply);
            return 16;
        }

        if (command.SequenceEqual("info-set"u8))
        {
            ReadOnlySpan<byte> name = TakeWord(ref rest);
            done = IsForGuest(name) && _variables.TrySet(name, rest);
        }
        else if (command.SequenceEqual("SetGuestInfo"u8))
        {
            done = SetInformation(rest);
        }
        else
        {
            done = command.SequenceEqual("log"u8) || command.StartsWith("tools."u8) || command.SequenceEqual("vmx.capability.unified_loop"u8) || command.SequenceEqual("vmx.set_option"u8);
        }

        ReadOnlySpan<byte> answer = done ? "1 "u8 : "0 Unknown command"u8;
        answer.CopyTo(reply);
        return answer.Length;
    }

    private bool TryAsk(Command command)
    {
        _gate.Enter();
        bool alive = _isKnown && _clock.Now - _heard < LongestSilence;
        _wanted |= alive ? command : Command.None;
        _gate.Exit();
        return alive;
    }

    private static bool IsForGuest(ReadOnlySpan<byte> name) => name.StartsWith("guestinfo."u8);

    private static ReadOnlySpan<byte> TakeWord(ref ReadOnlySpan<byte> text)
    {
        text = text.TrimStart((byte)' ');
        int end = text.IndexOf((byte)' ');
        ReadOnlySpan<byte> word = end < 0 ? text : text[..end];
        text = end < 0 ? default : text[(end + 1)..];
        return word;
    }

    // A number and a value. What is not shown is taken and left.
    private bool SetInformation(ReadOnlySpan<byte> rest)
    {
        ReadOnlySpan<byte> word = TakeWord(ref rest);
        int key = 0;
        foreach (byte digit in word)
        {
            key = digit is >= (byte)'0' and <= (byte)'9' && key < 100 ? (key * 10) + digit - '0' : 1000;
        }

        return key switch
        {
            HostNameKey => TrySetInformation("lamina.host-name"u8, rest),
            FullSystemNameKey => TrySetInformation("lamina.system"u8, rest),
            SystemDetailsKey => SetSystem(rest),
            _ => key < 1000,
        };
    }

    // Details are names with values in quotes, behind a header; whose system's name is not among them sends its names alone when this is refused.
    private bool SetSystem(ReadOnlySpan<byte> details)
    {
        ReadOnlySpan<byte> name = "prettyName='"u8;
        int start = details.IndexOf(name);
        details = start < 0 ? default : details[(start + name.Length)..];
        int end = details.IndexOf((byte)'\'');
        return end > 0 && TrySetInformation("lamina.system"u8, details[..end]);
    }

    private bool TrySetInformation(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => value.Length <= MaximumInformation && _variables.TrySet(name, value);

    private string? Find(ReadOnlySpan<byte> name)
    {
        _gate.Enter();
        string? found = _variables.TryGet(name, out ReadOnlySpan<byte> value) ? Encoding.UTF8.GetString(value[..Math.Min(value.Length, MaximumInformation)]) : null;
        _gate.Exit();
        return found;
    }
}
