using System.Buffers.Binary;
using System.Text;
using Lamina.Machine.Backends;
using Lamina.Machine.Personalities;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.Xen;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>Hypercalls by the words of Xen's public headers, with their structures as they lie in memory.</summary>
public sealed class XenCallTests : IDisposable
{
    private const ulong Other = GuestRam.Start + 0x2000;
    private const ulong Place = GuestRam.Start + 0x3000;
    private readonly XenGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void GrantTablesGrowAreListedAndAreOfTheFirstVersion()
    {
        // GNTTABOP_setup_table answers in its status, and lists the frames where they are; GNTTABOP_query_size says how many there are and can be.
        Assert.Equal(0, _guest.AddToPhysmap(1, 0, Place));
        Assert.Equal((0L, (short)0), (SetUp(DomainId.Self, 2), _guest.Ram.Get<short>(XenGuest.Argument + 8)));
        Assert.Equal((Place / 4096, 0UL, 0xffUL), (_guest.Ram.Get<ulong>(Other), _guest.Ram.Get<ulong>(Other + 8), _guest.Ram.Get<ulong>(Other + 16)));
        Assert.Equal((0L, (short)-1), (SetUp(DomainId.Self, 33), _guest.Ram.Get<short>(XenGuest.Argument + 8)));
        Assert.Equal((0L, (short)-2), (SetUp(7, 2), _guest.Ram.Get<short>(XenGuest.Argument + 8)));
        Assert.Equal(0, Grant(6, [0xf0, 0x7f, .. new byte[14]]));
        Assert.Equal((2u, 32u, (short)0), (_guest.Ram.Get<uint>(XenGuest.Argument + 4), _guest.Ram.Get<uint>(XenGuest.Argument + 8), _guest.Ram.Get<short>(XenGuest.Argument + 12)));

        // GNTTABOP_set_version says which version there is, whatever was asked for; GNTTABOP_get_version says it of a domain.
        foreach ((byte version, long result) in new[] { ((byte)1, 0L), ((byte)2, XenError.NoSuchCall), ((byte)3, XenError.InvalidArgument), ((byte)0, XenError.InvalidArgument) })
        {
            Assert.Equal((result, 1u), (Grant(8, [version, 0, 0, 0]), _guest.Ram.Get<uint>(XenGuest.Argument)));
        }

        Assert.Equal((0L, 1u), (Grant(10, [0xf0, 0x7f, 0, 0, 0, 0, 0, 0]), _guest.Ram.Get<uint>(XenGuest.Argument + 4)));
        Assert.Equal(XenError.NoSuchProcess, Grant(10, [7, 0, 0, 0, 0, 0, 0, 0]));
        Assert.Equal((0L, XenError.InvalidArgument), (_guest.Call((uint)Hypercall.GrantTableOp, 6, XenGuest.Argument, 0), _guest.Call((uint)Hypercall.GrantTableOp, 6, XenGuest.Argument, 2)));
        Assert.Equal(XenError.NoSuchCall, Grant(0, new byte[40]));
    }

    [Fact]
    public void TheMapOfMemoryAndTheKindOfAPageAreTold()
    {
        byte[] map = new byte[16];
        map[0] = 8;
        BinaryPrimitives.WriteUInt64LittleEndian(map.AsSpan(8), Other);
        Assert.Equal(0, _guest.Operate(Hypercall.MemoryOp, 9, map));
        Assert.Equal(1u, _guest.Ram.Get<uint>(XenGuest.Argument));
        Assert.Equal((GuestRam.Start, (ulong)GuestRam.Length, 1u), (_guest.Ram.Get<ulong>(Other), _guest.Ram.Get<ulong>(Other + 8), _guest.Ram.Get<uint>(Other + 16)));
        map[0] = 0;
        Assert.Equal((0L, 0u), (_guest.Operate(Hypercall.MemoryOp, 9, map), _guest.Ram.Get<uint>(XenGuest.Argument)));
        foreach ((ulong page, ushort kind) in new[] { (Other / 4096, (ushort)0), (0xfee00UL, (ushort)2), (ulong.MaxValue, (ushort)2) })
        {
            byte[] question = new byte[16];
            BinaryPrimitives.WriteUInt64LittleEndian(question.AsSpan(8), page);
            question[2] = question[3] = 0xff;
            Assert.Equal((0L, kind), (_guest.Operate(Hypercall.HvmOp, 15, question), _guest.Ram.Get<ushort>(XenGuest.Argument + 2)));
        }
    }

    [Fact]
    public void TheOlderTimerCallIsTheSingleShotOfItsCaller()
    {
        _guest.SetUp();
        Assert.Equal(0, _guest.Event(1, 0, 1, 0));
        Assert.Equal(0, _guest.Call((uint)Hypercall.SetTimerOp, 3_000_000, processor: 1));
        _guest.Host.Clock.Advance(2_000_000);
        Assert.Empty(_guest.Interrupts);
        _guest.Host.Clock.Advance(2_000_000);
        Assert.Equal([(0xfee0_1000UL, 0xf3u)], _guest.Interrupts);
        _guest.Ram.Set(XenGuest.Shared + 64, 0UL);
        _guest.Ram.Set(XenGuest.Shared + 64 + 8, 0UL);
        _guest.Ram.Set(XenGuest.Shared + 2048, 0UL);
        Assert.Equal(0, _guest.Call((uint)Hypercall.SetTimerOp, 9_000_000, processor: 1));
        Assert.Equal(0, _guest.Call((uint)Hypercall.SetTimerOp, 0, processor: 1));
        _guest.Host.Clock.Advance(20_000_000);
        Assert.Single(_guest.Interrupts);
    }

    [Fact]
    public void ProcessorsAreUpTellTheirTimesAndTakeInterruptsThatCannotBeMasked()
    {
        Assert.Equal((1L, XenError.NoEntry), (_guest.Call((uint)Hypercall.VcpuOp, 3, 1), _guest.Call((uint)Hypercall.VcpuOp, 3, 2)));
        _guest.Host.Clock.Advance(10_000);
        Assert.Equal(0, _guest.Call((uint)Hypercall.VcpuOp, 4, 1, Other));
        Assert.Equal((0u, 0UL, 10_000UL), (_guest.Ram.Get<uint>(Other), _guest.Ram.Get<ulong>(Other + 8), _guest.Ram.Get<ulong>(Other + 16)));
        Assert.Equal(0, _guest.Call((uint)Hypercall.VcpuOp, 11, 1));
        Assert.Equal([(0xfee0_1000UL, 4u << 8)], _guest.Interrupts);
        foreach (uint operation in new[] { 12u, 14u, 99u })
        {
            Assert.Equal(XenError.NoSuchCall, _guest.Call((uint)Hypercall.VcpuOp, operation, 0, Other));
        }
    }

    [Fact]
    public void TheHypervisorsConsoleTakesLinesAndHasNoInput()
    {
        Output output = new();
        using TestHost host = new();
        XenPersonality personality = new(host.CreateSettings(), host, console: output);
        byte[] line = Encoding.ASCII.GetBytes(new string('x', 300) + "\n");
        Assert.True(host.Ram.Memory.TryWrite(Other - 100, line));
        ulong[] registers = new ulong[16];
        foreach ((uint command, ulong length, long result) in new[] { (0u, (ulong)line.Length, 0L), (1u, 10UL, 0L), (1u, 0x8000_0000UL, XenError.TooLong), (2u, 1UL, XenError.NoSuchCall) })
        {
            registers[GuestCall.Rax] = (uint)Hypercall.ConsoleIo;
            registers[GuestCall.Rdi] = command;
            registers[GuestCall.Rsi] = length;
            registers[GuestCall.Rdx] = Other - 100;
            Assert.True(personality.TryHypercall(new GuestCall(0, registers, 0, is64Bit: true, _guest)));
            Assert.Equal(result, (long)registers[GuestCall.Rax]);
        }

        Assert.Equal(Encoding.ASCII.GetString(line), output.Text);
    }

    [Fact]
    public void ALongTextForTheConsoleIsWrittenInPartsOfOneCall()
    {
        Output output = new();
        using TestHost host = new();
        XenPersonality personality = new(host.CreateSettings(), host, console: output);
        string text = string.Concat(Enumerable.Range(0, 2400).Select(i => $"{i:0000}\n"));
        const ulong Address = Other - 100;
        Assert.True(host.Ram.Memory.TryWrite(Address, Encoding.ASCII.GetBytes(text)));
        ulong[] registers = new ulong[16];
        registers[GuestCall.Rax] = (uint)Hypercall.ConsoleIo;
        registers[GuestCall.Rsi] = (ulong)text.Length;
        registers[GuestCall.Rdx] = Address;
        foreach (int left in new[] { text.Length - 4096, text.Length - 8192 })
        {
            Assert.Equal(GuestCallEnd.Continue, Call());
            Assert.Equal(((ulong)Hypercall.ConsoleIo, (ulong)left), (registers[GuestCall.Rax], registers[GuestCall.Rsi]));
            Assert.Equal(text[..^left], output.Text);
        }

        Assert.Equal(GuestCallEnd.GoOn, Call());
        Assert.Equal((0UL, text), (registers[GuestCall.Rax], output.Text));

        // Where it ends being there it ends, and what is there is written.
        registers[GuestCall.Rax] = (uint)Hypercall.ConsoleIo;
        registers[GuestCall.Rsi] = uint.MaxValue;
        registers[GuestCall.Rdx] = GuestRam.Start + GuestRam.Length - 5000;
        Assert.Equal(GuestCallEnd.Continue, Call());
        Assert.Equal(GuestCallEnd.GoOn, Call());
        Assert.Equal(XenError.BadAddress, (long)registers[GuestCall.Rax]);

        GuestCallEnd Call()
        {
            GuestCallEnd end = GuestCallEnd.GoOn;
            Assert.True(personality.TryHypercall(new GuestCall(new GuestCall(0, registers, 0, is64Bit: true, _guest), ref end)));
            return end;
        }
    }

    private long SetUp(ushort domain, uint frames)
    {
        _guest.Ram.Set(Other, 0xffUL);
        _guest.Ram.Set(Other + 8, 0xffUL);
        _guest.Ram.Set(Other + 16, 0xffUL);
        byte[] table = new byte[24];
        BinaryPrimitives.WriteUInt16LittleEndian(table, domain);
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(4), frames);
        BinaryPrimitives.WriteUInt64LittleEndian(table.AsSpan(16), Other);
        return Grant(2, table);
    }

    private long Grant(uint operation, byte[] structure)
    {
        Assert.True(_guest.Ram.Memory.TryWrite(XenGuest.Argument, structure));
        return _guest.Call((uint)Hypercall.GrantTableOp, operation, XenGuest.Argument, 1);
    }

    private sealed class Output : ICharacterOutput
    {
        public string Text { get; private set; } = "";

        public void Write(ReadOnlySpan<byte> data) => Text += Encoding.ASCII.GetString(data);
    }
}
