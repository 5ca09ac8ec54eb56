using System.Buffers.Binary;
using Lamina.Machine.Personalities;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.Xen;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>A domain as its kernel sees it, with linear addresses that are physical ones.</summary>
internal sealed class XenGuest : ILinearTranslation, IDisposable
{
    public const ulong Shared = GuestRam.Start;
    public const ulong Argument = GuestRam.Start + 0x1000;
    public const ulong Invalid = 0xdead_0000_0000;
    private const ulong PageSize = 4096;

    public XenGuest(int processors = 2)
    {
        Personality = new XenPersonality(Host.CreateSettings(processors) with { Requests = Requests }, Host);
        for (int i = 0; i < processors; i++)
        {
            Signals.Add(new RecordingSignals());
            Personality.Connect(i, Signals[i], new TestController());
        }

        Personality.Start();
    }

    public TestHost Host { get; } = new();

    public RecordingRequests Requests { get; } = new();

    public List<RecordingSignals> Signals { get; } = [];

    public XenPersonality Personality { get; }

    public GuestRam Ram => Host.Ram;

    public List<(ulong Address, uint Data)> Interrupts => Host.Messages.Sent;

    /// <summary>Whether the last call has the processor wait and ask again.</summary>
    public bool Waits { get; private set; }

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
        bool waits = false;
        Assert.True(Personality.TryHypercall(new GuestCall(new GuestCall(processor, registers, privilege, is64Bit: true, this), ref waits)));
        Waits = waits;
        Assert.True(!waits || registers[GuestCall.Rax] == number, "A processor that is to ask again must find its registers as they were.");
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

    public void Dispose() => Host.Dispose();
}
