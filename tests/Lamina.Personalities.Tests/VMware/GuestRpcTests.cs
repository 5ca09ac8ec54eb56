using System.Text;
using Lamina.Machine.Personalities;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.VMware;

namespace Lamina.Personalities.Tests.VMware;

/// <summary>Messages through the backdoor as open-vm-tools sends and fetches them, good and hostile.</summary>
public sealed class GuestRpcTests : IDisposable
{
    private const uint Requests = 0x4943_5052;
    private const uint Commands = 0x4f4c_4354;
    private const uint WithCookie = 1u << 31;
    private const uint HighBandwidth = 0x80;
    private const uint Magic = 0x564d_5868;
    private const ulong Second = 1_000_000_000;
    private readonly TestHost _host = new();
    private readonly ulong[] _registers = new ulong[16];
    private readonly VMwarePersonality _personality;
    private ulong _cookie;

    public GuestRpcTests()
    {
        _personality = new VMwarePersonality(_host.CreateSettings());
        _personality.Start();
    }

    public void Dispose() => _host.Dispose();

    [Fact]
    public void ProgramsSetAndReadValues()
    {
        uint channel = Open(Requests | WithCookie);
        Assert.Equal("1 ", Ask(channel, "info-set guestinfo.color dark blue"));
        Assert.Equal("1 dark blue", Ask(channel, "info-get guestinfo.color"));
        Assert.Equal("1 ", Ask(channel, "info-set guestinfo.color red"));
        Assert.Equal("1 red", Ask(channel, "info-get guestinfo.color\0"));
        Assert.Equal("0 No value found", Ask(channel, "info-get guestinfo.size"));
        Assert.StartsWith("0 ", Ask(channel, "info-set other.color red"), StringComparison.Ordinal);
        Assert.Equal("0 No value found", Ask(channel, "info-get lamina.system"));
        Assert.Equal("1 ", Ask(channel, "tools.set.version 12325"));
        Assert.StartsWith("0 ", Ask(channel, "unknown"), StringComparison.Ordinal);
        Assert.Equal(1u, Step(6, channel, 0) >> 16);
        Assert.Equal(0u, Step(1, channel, 5) >> 16);
    }

    [Fact]
    public void ChannelsValuesCommandsAndTheBalloonGoOnAfterSaveAndRestore()
    {
        uint requests = Open(Requests | WithCookie);
        ulong cookie = _cookie;
        Ask(requests, "info-set guestinfo.color dark blue");
        Step(1, requests, 24);
        Step(2, requests, BitConverter.ToUInt32("info"u8));
        uint commands = Open(Commands);
        _personality.Balloon.Target = 4 << 20;
        StateBag state = new();
        _personality.Save(state);
        VMwarePersonality after = new(_host.CreateSettings());
        Assert.True(after.Restore(state), "It does not take the state that was saved.");
        StateBag again = new();
        after.Save(again);
        Assert.Equal(state.Describe(), again.Describe());
        Assert.Equal(4UL << 20, after.Balloon.Target);

        // The message that was half sent is completed, and the tools' channel is asked for the next command.
        _personality.Reset();
        Assert.True(_personality.Restore(state), "It does not take the state that was saved.");
        _cookie = cookie;
        foreach (string part in (string[])["-get", " gue", "stin", "fo.c", "olor"])
        {
            Step(2, requests, BitConverter.ToUInt32(Encoding.ASCII.GetBytes(part)));
        }

        Assert.Equal(11u, Step(3, requests, 0) >> 16 == (3 | HighBandwidth) ? (uint)_registers[GuestCall.Rbx] : 0);
        Step(3, commands, 0);
        Assert.Equal(5UL, _registers[GuestCall.Rbx]);
        foreach ((ushort field, ulong value) in new (ushort, ulong)[] { (128, 9), (128, 1), (4, 200), (136 + 3, 70000), (136 + 3, 1), (136 + 4, 3000), (100, 1), (102, 5) })
        {
            StateBag changed = new();
            _personality.Save(changed);
            changed.Integers[field] = value;
            Assert.False(after.Restore(changed), $"Field {field} as {value} cannot be.");
        }
    }

    [Fact]
    public void TheToolsSayWhatTheGuestIs()
    {
        Assert.Null(_personality.Tools.HostName);
        uint channel = Open(Requests);
        Ask(channel, "SetGuestInfo  1 web");
        Ask(channel, "SetGuestInfo  5 Debian GNU/Linux 12");
        Ask(channel, "info-set guestinfo.ip 192.0.2.2");
        Assert.Equal("1 ", Ask(channel, "SetGuestInfo  10 \u0001\u0002"));
        Assert.Equal(("web", "Debian GNU/Linux 12", "192.0.2.2"), (_personality.Tools.HostName, _personality.Tools.OperatingSystem, _personality.Tools.Address));
        Assert.StartsWith("0 ", Ask(channel, "SetGuestInfo  11 \u0001 bitness='64'"), StringComparison.Ordinal);
        Assert.Equal("1 ", Ask(channel, "SetGuestInfo  11 \u0001 bitness='64' prettyName='Debian 13' x"));
        Assert.Equal("Debian 13", _personality.Tools.OperatingSystem);
        _personality.Reset();
        Assert.Null(_personality.Tools.OperatingSystem);
    }

    [Fact]
    public void TheToolsAreKnownAliveAndAskedToStop()
    {
        Assert.Null(_personality.Tools.IsAlive);
        Assert.False(_personality.Tools.TryPowerOff());
        uint channel = Open(Commands | WithCookie);
        Assert.Equal("reset", Fetch(channel));
        Assert.Equal("", Fetch(channel));
        Send(channel, "OK ATR toolbox");
        Assert.True(_personality.Tools.IsAlive);
        Assert.Equal("Capabilities_Register", Reply(channel, ""));
        Assert.Equal("Set_Option broadcastIP 1", Reply(channel, "OK "));
        _host.Clock.Advance(2 * Second);
        Assert.Equal("ping", Reply(channel, "OK "));
        Assert.Equal("", Reply(channel, "OK "));
        _personality.Stop();
        _personality.Start();
        Assert.Equal("Time_Synchronize 1", Fetch(channel));
        Assert.True(_personality.Tools.TryPowerOff());
        Assert.Equal("OS_Halt", Reply(channel, "OK "));
        Assert.True(_personality.Tools.TryRestart());
        Assert.Equal("OS_Reboot", Reply(channel, "OK "));
        _host.Clock.Advance(31 * Second);
        Assert.False(_personality.Tools.IsAlive);
        Assert.False(_personality.Tools.TryPowerOff());
        Assert.Equal(1u, Step(6, channel, 0) >> 16);
        Assert.Null(_personality.Tools.IsAlive);
    }

    [Fact]
    public void ChannelsAreTheirProgramsOwnAndFew()
    {
        uint first = Open(Requests | WithCookie);
        ulong cookie = _cookie;
        _host.Clock.Advance(Second);
        for (int i = 0; i < 7; i++)
        {
            Open(Requests | WithCookie);
        }

        _host.Clock.Advance(Second);
        _cookie = cookie + 1;
        Assert.Equal(0u, Step(1, first, 4) >> 16);
        _cookie = cookie;
        Assert.Equal(1u | HighBandwidth, Step(1, first, 4) >> 16);
        Assert.NotEqual(first, Open(Requests));
        Assert.Equal(0u, Step(0, 0, 0x1234_5678) >> 16);
        Assert.Equal(0u, Step(1, 99, 4) >> 16);
        Assert.Equal(0u, Step(9, first, 4) >> 16);
    }

    [Fact]
    public void QuotasHold()
    {
        uint channel = Open(Requests);
        Assert.Equal(0u, Step(1, channel, 65537) >> 16);
        Assert.Equal(0u, Step(2, channel, 1) >> 16);

        // As long as a message has room for.
        string request = "info-set guestinfo.x ";
        string longest = new('x', 65536 - request.Length);
        Assert.Equal("1 ", Ask(channel, request + longest));
        Assert.Equal($"1 {longest}", Ask(channel, "info-get guestinfo.x"));

        // 15 more fit into 1 MiB, and then what is left beside them; one that becomes longer than that stays as it was.
        for (int i = 0; i < 15; i++)
        {
            Assert.Equal("1 ", Ask(channel, $"info-set guestinfo.{(char)('a' + i)} {longest}"));
        }

        int used = 16 * (6 + 11 + longest.Length);
        string last = new('y', (1 << 20) - used - 6 - 11);
        Assert.StartsWith("0 ", Ask(channel, $"info-set guestinfo.z {last}y"), StringComparison.Ordinal);
        Assert.Equal("0 No value found", Ask(channel, "info-get guestinfo.z"));
        Assert.Equal("1 ", Ask(channel, $"info-set guestinfo.z {last}"));
        Assert.StartsWith("0 ", Ask(channel, $"info-set guestinfo.z {last}y"), StringComparison.Ordinal);
        Assert.Equal($"1 {last}", Ask(channel, "info-get guestinfo.z"));
        Assert.Equal("1 ", Ask(channel, "info-set guestinfo.x 1"));
        Assert.Equal("1 ", Ask(channel, $"info-set guestinfo.z {last}y"));
        Assert.Equal(("1 1", $"1 {longest}", $"1 {last}y"), (Ask(channel, "info-get guestinfo.x"), Ask(channel, "info-get guestinfo.o"), Ask(channel, "info-get guestinfo.z")));

        // And so many at most.
        _personality.Reset();
        channel = Open(Requests);
        for (int i = 0; i < 1024; i++)
        {
            Assert.Equal("1 ", Ask(channel, $"info-set guestinfo.{i} 1"));
        }

        Assert.StartsWith("0 ", Ask(channel, "info-set guestinfo.more 1"), StringComparison.Ordinal);
        Assert.Equal("1 ", Ask(channel, "info-set guestinfo.5 2"));
        Assert.Equal("1 2", Ask(channel, "info-get guestinfo.5"));
        Assert.StartsWith("0 ", Ask(channel, $"SetGuestInfo  1 {new string('h', 1025)}"), StringComparison.Ordinal);
    }

    [Fact]
    public void VariablesOfEachLengthAreSavedAndThoseOfBeforeTaken()
    {
        uint channel = Open(Requests);
        string value = new('v', 60_000);
        Ask(channel, $"info-set guestinfo.long {value}");
        Ask(channel, "info-set guestinfo.empty");
        Ask(channel, "info-set guestinfo.short 1");
        StateBag state = new();
        _personality.Save(state);
        _personality.Reset();
        Assert.True(_personality.Restore(state), "It does not take the state that was saved.");
        channel = Open(Requests);
        Assert.Equal(($"1 {value}", "1 ", "1 1"), (Ask(channel, "info-get guestinfo.long"), Ask(channel, "info-get guestinfo.empty"), Ask(channel, "info-get guestinfo.short")));

        // Before, there was a field for each name and each value.
        StateBag old = state.Without(70);
        for (ushort i = 0; i < 32; i++)
        {
            old.Write((ushort)(6 + (2 * i)), i < 2 ? Encoding.ASCII.GetBytes($"guestinfo.{i}") : []);
            old.Write((ushort)(7 + (2 * i)), i < 2 ? Encoding.ASCII.GetBytes($"old {i}") : []);
        }

        Assert.True(_personality.Restore(old), "It does not take a state of before.");
        channel = Open(Requests);
        Assert.Equal(("1 old 0", "1 old 1", "0 No value found"), (Ask(channel, "info-get guestinfo.0"), Ask(channel, "info-get guestinfo.1"), Ask(channel, "info-get guestinfo.long")));
        Assert.False(_personality.Restore(old.Without(8)), "It takes a state without variables.");

        // Lengths that cannot be: no name, a name or a value beyond the end, a negative one, a header that is cut off.
        foreach (byte[] records in (byte[][])[[0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 1], [1, 0, 1, 0, 0, 0, 1], [1, 0, 0xff, 0xff, 0xff, 0xff, 1], [1, 0, 0xff, 0xff, 0xff, 0x7f, 1], [1, 0, 0, 0, 0, 0, 1, 1, 0]])
        {
            StateBag changed = state.Without(70);
            changed.Write(70, records);
            Assert.False(_personality.Restore(changed), $"It takes {Convert.ToHexString(records)}.");
        }
    }

    [Fact]
    public void GarbageIsSurvived()
    {
        Random random = new(3);
        string[] words = ["info-set guestinfo.", "info-get guestinfo.", "SetGuestInfo ", "tools.", "log ", "OK ", "ERROR ", " ", "\0", "99999999999999999999 "];
        for (int i = 0; i < 20000; i++)
        {
            uint type = (uint)random.Next(8);
            uint value = random.Next(4) switch { 0 => (uint)random.Next(), 1 => Requests, 2 => Commands, _ => (uint)random.Next(20) };
            Step(type, (uint)random.Next(9), value);
            if (random.Next(10) == 0)
            {
                uint channel = Open(random.Next(2) == 0 ? Requests : Commands);
                Send(channel, string.Concat(Enumerable.Range(0, random.Next(1, 6)).Select(_ => words[random.Next(words.Length)])));
                Fetch(channel);
            }

            _host.Clock.Advance((ulong)random.Next(1_000_000_000));
        }
    }

    [Fact]
    public void MessagesGoThroughTheHighBandwidthPortByteByByte()
    {
        uint channel = Open(Requests | WithCookie);
        string text = $"info-set guestinfo.long {new string('x', 501)}";
        Assert.Equal(1u | HighBandwidth, Step(1, channel, (uint)text.Length) >> 16);
        Assert.True(Out(channel, text), "the message was not taken");
        Assert.Equal("1 ", Fetch(channel));
        Assert.False(Out(channel, "x"), "a byte that was not expected was taken");

        Send(channel, "info-get guestinfo.long");
        Assert.Equal(3u | HighBandwidth, Step(3, channel, 0) >> 16);
        Assert.Equal($"1 {new string('x', 501)}", In(channel, (int)_registers[GuestCall.Rbx]));
        Assert.Null(In(channel, 1));
        Assert.Equal(1u, Step(5, channel, 1) >> 16);

        // Part of a message each way.
        Assert.Equal(1u | HighBandwidth, Step(1, channel, 24) >> 16);
        Assert.True(Out(channel, "info-ge"), "the message's beginning was not taken");
        Assert.Equal(1u, Step(2, channel, BitConverter.ToUInt32("t gu"u8)) >> 16);
        Assert.True(Out(channel, "estinfo.long\0"), "the message's end was not taken");
        Assert.StartsWith("1 xxx", Fetch(channel), StringComparison.Ordinal);
    }

    [Fact]
    public void TheHighBandwidthPortRefusesWhatIsNotItsProgramsMessage()
    {
        uint channel = Open(Requests | WithCookie);
        Step(1, channel, 4);
        Assert.False(Out(channel + 1, "info"), "another channel");
        Assert.False(Out(channel, "info", command: 1), "another command");
        _cookie++;
        Assert.False(Out(channel, "info"), "another cookie");
        _cookie--;
        Assert.True(Out(channel, "inf"), "the message's beginning was not taken");
        Assert.Equal("", Fetch(channel));

        // Whoever does not know the number, or takes more than a byte, reads a port at which there is nothing.
        Prepare(channel, 0);
        _registers[GuestCall.Rax] = 0;
        byte[] bytes = [0];
        _personality.ReadPort(new GuestCall(0, _registers, 3, is64Bit: true), 0x5659, bytes);
        Assert.Equal(0xff, bytes[0]);
        Prepare(channel, 0);
        byte[] words = new byte[2];
        _personality.ReadPort(new GuestCall(0, _registers, 3, is64Bit: true), 0x5659, words);
        _personality.WritePort(new GuestCall(0, _registers, 3, is64Bit: true), 0x5659, words);
        Assert.Equal([0xff, 0xff], words);
        Assert.Equal(1u << 16, (uint)_registers[GuestCall.Rbx]);
    }

    private bool Out(uint channel, string text, ushort command = 0)
    {
        Prepare(channel, command);
        _registers[GuestCall.Rbp] = _cookie >> 32;
        _registers[GuestCall.Rdi] = (uint)_cookie;
        foreach (byte value in Encoding.UTF8.GetBytes(text))
        {
            _personality.WritePort(new GuestCall(0, _registers, 3, is64Bit: true), 0x5659, [value]);
        }

        return (_registers[GuestCall.Rbx] >> 16) == 1;
    }

    private string? In(uint channel, int length)
    {
        Prepare(channel, 0);
        _registers[GuestCall.Rsi] = _cookie >> 32;
        _registers[GuestCall.Rbp] = (uint)_cookie;
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
        {
            _personality.ReadPort(new GuestCall(0, _registers, 3, is64Bit: true), 0x5659, bytes.AsSpan(i, 1));
        }

        return (_registers[GuestCall.Rbx] >> 16) == 1 ? Encoding.UTF8.GetString(bytes) : null;
    }

    private void Prepare(uint channel, ushort command)
    {
        Array.Clear(_registers);
        _registers[GuestCall.Rax] = Magic;
        _registers[GuestCall.Rbx] = (1u << 16) | command;
        _registers[GuestCall.Rdx] = (channel << 16) | 0x5659;
    }

    private uint Open(uint protocol)
    {
        uint status = Step(0, 0, protocol);
        Assert.Equal(1u, status >> 16);
        _cookie = (_registers[GuestCall.Rsi] << 32) | (uint)_registers[GuestCall.Rdi];
        return (uint)_registers[GuestCall.Rdx] >> 16;
    }

    private string Ask(uint channel, string request)
    {
        Send(channel, request);
        return Fetch(channel);
    }

    private string Reply(uint channel, string reply)
    {
        Send(channel, reply);
        return Fetch(channel);
    }

    private void Send(uint channel, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        Assert.Equal(1u | HighBandwidth, Step(1, channel, (uint)bytes.Length) >> 16);
        for (int i = 0; i < bytes.Length; i += 4)
        {
            byte[] word = new byte[4];
            bytes.AsSpan(i, Math.Min(4, bytes.Length - i)).CopyTo(word);
            Assert.Equal(1u, Step(2, channel, BitConverter.ToUInt32(word)) >> 16);
        }
    }

    private string Fetch(uint channel)
    {
        uint status = (Step(3, channel, 0) >> 16) & ~HighBandwidth;
        if (status == 1)
        {
            return "";
        }

        Assert.Equal((3u, 1u), (status, (uint)_registers[GuestCall.Rdx] >> 16));
        int length = (int)_registers[GuestCall.Rbx];
        List<byte> bytes = [];
        while (bytes.Count < length)
        {
            Assert.Equal((1u, 2u), (Step(4, channel, 1) >> 16, (uint)_registers[GuestCall.Rdx] >> 16));
            bytes.AddRange(BitConverter.GetBytes((uint)_registers[GuestCall.Rbx]));
        }

        Assert.Equal(1u, Step(5, channel, 1) >> 16);
        return Encoding.UTF8.GetString([.. bytes.Take(length)]);
    }

    // The answer is ECX.
    private uint Step(uint type, uint channel, uint value)
    {
        Array.Clear(_registers);
        _registers[GuestCall.Rax] = Magic;
        _registers[GuestCall.Rbx] = value;
        _registers[GuestCall.Rcx] = (type << 16) | 30;
        _registers[GuestCall.Rdx] = (channel << 16) | 0x5658;
        _registers[GuestCall.Rsi] = _cookie >> 32;
        _registers[GuestCall.Rdi] = (uint)_cookie;
        _personality.ReadPort(new GuestCall(0, _registers, 3, is64Bit: true), 0x5658, new byte[4]);
        return (uint)_registers[GuestCall.Rcx];
    }
}
