using System.Buffers.Binary;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Personalities;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.Xen;
using Lamina.Personalities.Xen.Platform;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>A domain as its kernel sees it, with linear addresses that are physical ones.</summary>
internal sealed class XenGuest : ILinearTranslation, IDisposable
{
    public const ulong Shared = GuestRam.Start;
    public const ulong Argument = GuestRam.Start + 0x1000;
    public const ulong Invalid = 0xdead_0000_0000;
    private const ulong PageSize = 4096;

    public XenGuest(int processors = 2)
        : this(processors, new GuestRam(), isDirect: false)
    {
        Personality.Start();
    }

    private XenGuest(int processors, GuestRam ram, bool isDirect, bool hasLines = true)
    {
        Host = new TestHost(ram);
        Personality = new XenPersonality(Host.CreateSettings(processors) with { Requests = Requests, Lines = hasLines ? Lines : null }, Host);
        for (int i = 0; i < processors; i++)
        {
            Signals.Add(new RecordingSignals());
            Controllers.Add(isDirect ? new DirectController() : new TestController());
            Personality.Connect(i, Signals[i], Controllers[i]);
        }
    }

    public TestHost Host { get; }

    public RecordingRequests Requests { get; } = new();

    public TestLines Lines { get; } = new();

    public List<RecordingSignals> Signals { get; } = [];

    public List<TestController> Controllers { get; } = [];

    public XenPersonality Personality { get; }

    public PlatformDevice? Platform { get; private set; }

    public GuestRam Ram => Host.Ram;

    public List<(ulong Address, uint Data)> Interrupts => Host.Messages.Sent;

    /// <summary>What the last call has the processor do next.</summary>
    public GuestCallEnd End { get; private set; }

    /// <summary>Whether the last call has the processor wait and ask again.</summary>
    public bool Waits => End == GuestCallEnd.Repeat;

    /// <summary>Whether it has the processor halt.</summary>
    public bool Halts => End == GuestCallEnd.Halt;

    /// <summary>What is asked of the processor that calls.</summary>
    public RecordingCaller Caller { get; } = new();

    public bool TryTranslate(ulong linear, bool write, out ulong physical)
    {
        physical = linear;
        return linear < Invalid;
    }

    /// <summary>Calls with numbers.</summary>
    public long Call(uint number, ulong first = 0, ulong second = 0, ulong third = 0, int processor = 0, int privilege = 0)
    {
        ulong[] registers = new ulong[16];
        registers[GuestCall.Rax] = number;
        registers[GuestCall.Rdi] = first;
        registers[GuestCall.Rsi] = second;
        registers[GuestCall.Rdx] = third;
        GuestCallEnd end = GuestCallEnd.GoOn;
        Assert.True(Personality.TryHypercall(new GuestCall(new GuestCall(processor, registers, privilege, is64Bit: true, this, Caller), ref end)));
        End = end;
        Assert.True(!Waits || registers[GuestCall.Rax] == number, "A processor that is to ask again must find its registers as they were.");
        return (long)registers[GuestCall.Rax];
    }

    /// <summary>Calls with an operation and a structure.</summary>
    public long Operate(Hypercall call, uint operation, params ReadOnlySpan<byte> structure)
    {
        Assert.True(Ram.Memory.TryWrite(Argument, structure));
        return Call((uint)call, operation, Argument);
    }

    /// <summary>Calls event_channel_op with 32-bit fields.</summary>
    public long Event(uint operation, params ReadOnlySpan<uint> fields) => Operate(Hypercall.EventChannelOp, operation, System.Runtime.InteropServices.MemoryMarshal.AsBytes(fields));

    /// <summary>Calls vcpu_op.</summary>
    public long Processor(uint operation, int processor, params ReadOnlySpan<ulong> fields)
    {
        Assert.True(Ram.Memory.TryWrite(Argument, System.Runtime.InteropServices.MemoryMarshal.AsBytes(fields)));
        return Call((uint)Hypercall.VcpuOp, operation, (ulong)processor, Argument, processor);
    }

    /// <summary>Maps a page of the hypervisor's.</summary>
    public long AddToPhysmap(uint space, ulong index, ulong address, ushort domain = DomainId.Self)
    {
        byte[] structure = new byte[24];
        BinaryPrimitives.WriteUInt16LittleEndian(structure, domain);
        BinaryPrimitives.WriteUInt32LittleEndian(structure.AsSpan(4), space);
        BinaryPrimitives.WriteUInt64LittleEndian(structure.AsSpan(8), index);
        BinaryPrimitives.WriteUInt64LittleEndian(structure.AsSpan(16), address / PageSize);
        return Operate(Hypercall.MemoryOp, 7, structure);
    }

    /// <summary>Does what a kernel does first: the shared page, and a vector for each processor.</summary>
    public XenGuest SetUp()
    {
        Assert.Equal(0, AddToPhysmap(0, 0, Shared));
        for (uint i = 0; i < (uint)Signals.Count; i++)
        {
            Assert.Equal(0, Operate(Hypercall.HvmOp, 23, [(byte)i, 0, 0, 0, 0xf3, 0, 0, 0]));
        }

        return this;
    }

    /// <summary>One whose local APICs have vectors that are not ended.</summary>
    public static XenGuest CreateDirect()
    {
        XenGuest guest = new(2, new GuestRam(), isDirect: true);
        guest.Personality.Start();
        return guest;
    }

    /// <summary>One that has no interrupts of devices.</summary>
    public static XenGuest CreateWithoutLines()
    {
        XenGuest guest = new(2, new GuestRam(), isDirect: false, hasLines: false);
        guest.Personality.Start();
        return guest;
    }

    /// <summary>Gives it a device in whose window grant frames may be, and other places without RAM.</summary>
    public XenGuest AddPlatform()
    {
        Platform = new PlatformDevice(Personality, new CheckedLock());
        Platform.Map(new AddressSpace(AddressSpace.PortCount, new CheckedLock()), new AddressSpace(1UL << 47, new CheckedLock()));
        return this;
    }

    /// <summary>Saves it, and has another machine go on from there.</summary>
    /// <param name="line">A line that a device of the other machine asserts already; none if it is negative.</param>
    /// <param name="without">A field that states of before did not have; none if it is negative.</param>
    public XenGuest GoOn(int line = -1, int without = -1)
    {
        StateBag state = without < 0 ? Save() : Save().Without((ushort)without);
        XenGuest next = new(Signals.Count, Ram.Copy(), Controllers[0] is DirectController);
        if (Platform is not null)
        {
            next.AddPlatform();
        }

        if (line >= 0)
        {
            next.Lines.Set(line, true);
        }

        next.Host.Clock.Advance(Host.Clock.Now);
        Assert.True(next.Personality.Restore(state), "The state is refused.");
        Assert.Equal(state.Describe(), (without < 0 ? next.Save() : next.Save().Without((ushort)without)).Describe());
        next.Personality.Start();
        return next;
    }

    /// <summary>A state that lacks any of its fields is refused, but for those of its counters' drift, of how it calls, of interrupts of devices, and of its processors' times, which came later; and whatever is in it, nothing throws.</summary>
    public void RefusesWhatCannotBe()
    {
        StateBag good = Save();
        good.PlayWithout(
            state => Personality.Restore(state),
            () =>
            {
                Personality.Start();
                for (uint port = 1; port < 8; port++)
                {
                    Event(4, port);
                    Event(9, port);
                }

                Host.Clock.Advance(1_000_000);
                Personality.Stop();
                Personality.Reset();
            },
            5,
            6,
            7,
            32 + 18,
            64 + 18);
    }

    public void Dispose() => Host.Dispose();

    private StateBag Save()
    {
        Personality.Stop();
        StateBag state = new();
        Personality.Save(state);
        return state;
    }
}
