using System.Buffers.Binary;
using System.Text;
using Lamina.Machine.Personalities;
using Lamina.Personalities.Xen;
using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>The hypervisor's calls, right and wrong ones.</summary>
public sealed class XenPersonalityTests : IDisposable
{
    private const ulong Other = GuestRam.Start + 0x2000;
    private const ulong Control = GuestRam.Start + 0x3000;
    private const ulong Words = GuestRam.Start + 0x4000;
    private readonly XenGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void LeavesSayXenAndWhereTheHypercallPageIsAskedFor()
    {
        Assert.Equal((0x4000_0005u, 0x566e_6558u, 0x6558_4d4du, 0x4d4d_566eu), (_guest.Personality.Leaves[0].Eax, _guest.Personality.Leaves[0].Ebx, _guest.Personality.Leaves[0].Ecx, _guest.Personality.Leaves[0].Edx));
        Assert.Contains(_guest.Personality.Leaves, l => l.Leaf == 0x4000_0002 && l.Eax == 1 && l.Ebx == 0x4000_0000);
    }

    [Fact]
    public void TheHypercallPageHoldsAnEntryForEachCallAndMustBeRam()
    {
        Assert.True(_guest.Personality.TryWriteMsr(0, 0, 0x4000_0000, Other));
        Assert.Equal("B80C000000E6EA90C3", Convert.ToHexString(_guest.Ram.Get(Other + (12 * 32), 9)));
        Assert.Equal("B81D000000E6EA90C3", Convert.ToHexString(_guest.Ram.Get(Other + (29 * 32), 9)));
        Assert.Equal("0F0B", Convert.ToHexString(_guest.Ram.Get(Other + (23 * 32), 2)));
        Assert.False(_guest.Personality.TryWriteMsr(0, 0, 0x4000_0000, Other | 1));
        Assert.False(_guest.Personality.TryWriteMsr(0, 0, 0x4000_0000, 0xdead_0000));
        Assert.False(_guest.Personality.TryReadMsr(0, 0, 0x4000_0000, out _));
    }

    [Fact]
    public void AGuestThatCallsByInstructionIsKnownUntilItIsReset()
    {
        ulong[] registers = new ulong[16];
        registers[GuestCall.Rax] = (ulong)Hypercall.XenVersion;
        Assert.True(_guest.Personality.TryHypercall(new GuestCall(0, registers, 0, is64Bit: true), byInstruction: false));
        Assert.False(_guest.Personality.UsesHypercallInstruction);
        StateBag state = new();
        _guest.Personality.Save(state);

        // Machines of before had the instruction in their page.
        Assert.True(_guest.Personality.Restore(state.Without(6)));
        Assert.True(_guest.Personality.UsesHypercallInstruction);
        Assert.True(_guest.Personality.Restore(state));
        Assert.False(_guest.Personality.UsesHypercallInstruction);
        _guest.Call((uint)Hypercall.XenVersion);
        Assert.True(_guest.Personality.UsesHypercallInstruction);
        _guest.Personality.Reset();
        Assert.False(_guest.Personality.UsesHypercallInstruction);
    }

    [Fact]
    public void ClocksGoByCountersThatDriftAndAJumpIsARecordOfItsOwn()
    {
        const long Frequency = 1_000_000_000;
        _guest.SetUp();
        _guest.Host.Clock.Advance(1_000_000_000);
        _guest.Personality.OnLead(1, 5 * Frequency);
        ulong info = XenGuest.Shared + 64 + 32;
        Assert.Equal((6_000_000_000UL, 1_000_000_000UL), (_guest.Ram.Get<ulong>(info + 8), _guest.Ram.Get<ulong>(info + 16)));

        // 100 us more: no record changes, but the hypervisor's time is what the guest makes of the counter, and so is a timer's.
        uint version = _guest.Ram.Get<uint>(info);
        _guest.Personality.OnLead(1, (5 * Frequency) + 100_000);
        Assert.Equal(version, _guest.Ram.Get<uint>(info));
        Assert.Equal(0, _guest.Operate(Hypercall.HvmOp, 10, new byte[8]));
        Assert.Equal(1_000_100_000UL, _guest.Ram.Get<ulong>(XenGuest.Argument));
    }

    [Fact]
    public void ProgramsUnknownNumbersAndBadAddressesAreRefused()
    {
        Assert.Equal(XenError.NotPermitted, _guest.Call((uint)Hypercall.XenVersion, privilege: 3));
        Assert.Equal(XenError.NoSuchCall, _guest.Call(99));
        Assert.Equal(XenError.NoSuchCall, _guest.Event(77, 0));
        foreach ((Hypercall call, uint operation) in new[]
        {
            (Hypercall.MemoryOp, 7u), (Hypercall.MemoryOp, 1u), (Hypercall.MemoryOp, 9u), (Hypercall.EventChannelOp, 6u), (Hypercall.EventChannelOp, 4u), (Hypercall.HvmOp, 0u),
            (Hypercall.HvmOp, 23u), (Hypercall.SchedOp, 2u), (Hypercall.SchedOp, 3u), (Hypercall.XenVersion, 6u),
        })
        {
            Assert.Equal(XenError.BadAddress, _guest.Call((uint)call, operation, XenGuest.Invalid));
        }

        Assert.Equal(XenError.BadAddress, _guest.Call((uint)Hypercall.GrantTableOp, 6, XenGuest.Invalid, 1));
        Assert.Equal(XenError.BadAddress, _guest.Call((uint)Hypercall.VcpuOp, 8, 0, XenGuest.Invalid));
        Assert.Equal(XenError.NoEntry, _guest.Call((uint)Hypercall.VcpuOp, 8, 5, XenGuest.Argument));
        Assert.Equal(XenError.BadAddress, _guest.Call((uint)Hypercall.ConsoleIo, 0, 5, XenGuest.Invalid));
    }

    [Fact]
    public void VersionAndFeaturesAreTold()
    {
        Assert.Equal(0x4_0011, _guest.Call((uint)Hypercall.XenVersion));
        Assert.Equal(0, _guest.Call((uint)Hypercall.XenVersion, 3, XenGuest.Argument));
        Assert.StartsWith("xen-3.0-x86_64", Encoding.ASCII.GetString(_guest.Ram.Get(XenGuest.Argument, 40)), StringComparison.Ordinal);
        Assert.Equal(0, _guest.Operate(Hypercall.XenVersion, 6, 0, 0, 0, 0));
        Assert.Equal(0x705u, _guest.Ram.Get<uint>(XenGuest.Argument + 4));
    }

    [Fact]
    public void TheSharedPageMovesWithItsContentAndHasTheClocks()
    {
        _guest.Host.Clock.Advance(5_000_000_000);
        Assert.Equal(XenError.InvalidArgument, _guest.AddToPhysmap(0, 0, 0xdead_0000));
        Assert.Equal(XenError.InvalidArgument, _guest.AddToPhysmap(0, 1, XenGuest.Shared));
        Assert.Equal(XenError.InvalidArgument, _guest.AddToPhysmap(9, 0, XenGuest.Shared));
        Assert.Equal(XenError.NoSuchProcess, _guest.AddToPhysmap(0, 0, XenGuest.Shared, domain: 0));
        _guest.SetUp();
        Assert.Equal((1_700_000_000u, 0u), (_guest.Ram.Get<uint>(XenGuest.Shared + 3076), _guest.Ram.Get<uint>(XenGuest.Shared + 3080)));
        Assert.Equal(5_000_000_000UL, _guest.Ram.Get<ulong>(XenGuest.Shared + 64 + 32 + 16));
        _guest.Ram.Set(XenGuest.Shared + 2560, 0x1234u);
        Assert.Equal(0, _guest.AddToPhysmap(0, 0, Other));
        Assert.Equal(0x1234u, _guest.Ram.Get<uint>(Other + 2560));
        _guest.Personality.OnTimeStampSet(1, 77);
        Assert.Equal((77UL, 5_000_000_000UL), (_guest.Ram.Get<ulong>(Other + 64 + 32 + 8), _guest.Ram.Get<ulong>(Other + 64 + 32 + 16)));
    }

    [Fact]
    public void EventsAreBitsAndInterruptTheirProcessorOnce()
    {
        _guest.SetUp();
        Assert.Equal(0, _guest.Event(7, 1, 0));
        uint port = _guest.Ram.Get<uint>(XenGuest.Argument + 4);
        Assert.Equal(0, _guest.Event(4, port));
        Assert.Equal([(0xfee0_1000UL, 0xf3u)], _guest.Interrupts);
        Assert.Equal(1u << (int)port, _guest.Ram.Get<uint>(XenGuest.Shared + 2048));
        Assert.Equal((1, 1UL), (_guest.Ram.Get<byte>(XenGuest.Shared + 64), _guest.Ram.Get<ulong>(XenGuest.Shared + 64 + 8)));
        _guest.Event(4, port);
        Assert.Single(_guest.Interrupts);

        // A masked one waits until it is unmasked.
        _guest.Ram.Set(XenGuest.Shared + 64, 0UL);
        _guest.Ram.Set(XenGuest.Shared + 64 + 8, 0UL);
        _guest.Ram.Set(XenGuest.Shared + 2048, 0UL);
        _guest.Ram.Set(XenGuest.Shared + 2560, 1UL << (int)port);
        _guest.Event(4, port);
        Assert.Single(_guest.Interrupts);
        Assert.Equal(0, _guest.Event(9, port));
        Assert.Equal((2, 0UL), (_guest.Interrupts.Count, _guest.Ram.Get<ulong>(XenGuest.Shared + 2560)));
        Assert.Equal(0, _guest.Event(3, port));
        Assert.Equal(XenError.InvalidArgument, _guest.Event(4, port));
        Assert.Equal(0UL, _guest.Ram.Get<ulong>(XenGuest.Shared + 2048));
    }

    [Fact]
    public void ChannelsThatAreNotThereAreRefused()
    {
        _guest.SetUp();
        foreach (uint port in new[] { 0u, 50u, 4096u, uint.MaxValue })
        {
            Assert.Equal(XenError.InvalidArgument, _guest.Event(4, port));
            Assert.Equal(XenError.InvalidArgument, _guest.Event(3, port));
            Assert.Equal(XenError.InvalidArgument, _guest.Event(9, port));
            Assert.Equal(XenError.InvalidArgument, _guest.Event(8, port, 0));
        }

        Assert.Equal(XenError.NoEntry, _guest.Event(7, 9, 0));
        Assert.Equal(XenError.NoEntry, _guest.Event(1, 0, 9, 0));
        Assert.Equal(XenError.InvalidArgument, _guest.Event(1, 99, 0, 0));
        Assert.Equal(XenError.NotPermitted, _guest.Event(6, 0x7ff0_0000, 0));
        Assert.Equal(XenError.NotPermitted, _guest.Event(0, 0, 1, 0));
        Assert.Equal(XenError.NoSuchCall, _guest.Event(12, 0, 0));
        Assert.Equal(0, _guest.Event(1, 0, 0, 0));
        Assert.Equal(XenError.Exists, _guest.Event(1, 0, 0, 0));
        int made = 0;
        while (_guest.Event(7, 0, 0) == 0)
        {
            made++;
        }

        Assert.Equal(4094, made);
        Assert.Equal(XenError.NoSpace, _guest.Event(7, 0, 0));
    }

    [Fact]
    public void QueuesLinkEventsByPriority()
    {
        _guest.SetUp();
        uint[] ports = UseQueues(3);
        Assert.Equal(0, _guest.Event(13, ports[2], 3));
        foreach (uint port in ports)
        {
            _guest.Event(4, port);
        }

        Assert.Equal((1u << 7) | (1u << 3), _guest.Ram.Get<uint>(Control));
        Assert.Equal((ports[0], ports[2]), (_guest.Ram.Get<uint>(Control + 8 + 28), _guest.Ram.Get<uint>(Control + 8 + 12)));
        Assert.Equal(0xa000_0000u | ports[1], _guest.Ram.Get<uint>(Words + (ports[0] * 4)));
        Assert.Equal(0xa000_0000u, _guest.Ram.Get<uint>(Words + (ports[1] * 4)));
        Assert.Single(_guest.Interrupts);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void EventsThatWereRaisedBeforeTheirWordsAreThereComeWithThem(bool saves)
    {
        _guest.SetUp();
        Assert.Equal(0, _guest.Event(7, 1, 0));
        uint bit = _guest.Ram.Get<uint>(XenGuest.Argument + 4);
        Assert.Equal(0, _guest.Event(7, 0, 0));
        uint early = _guest.Ram.Get<uint>(XenGuest.Argument + 4);
        Assert.Equal(0, _guest.Event(7, 0, 0));
        uint closed = _guest.Ram.Get<uint>(XenGuest.Argument + 4);

        // One is pending as a bit when the queues come, and others are raised before there is a page of words; what is closed again is forgotten.
        Assert.Equal(0, _guest.Event(4, bit));
        Assert.Equal((0L, 0L), (Queue(11, Control / 4096, 0), Queue(11, (Control / 4096) + 8, 1UL << 32)));
        Assert.Equal((0L, 0L, 0L), (_guest.Event(4, early), _guest.Event(4, closed), _guest.Event(3, closed)));
        using XenGuest? next = saves ? _guest.GoOn() : null;
        XenGuest guest = next ?? _guest;
        int before = guest.Interrupts.Count;
        guest.Ram.Set(XenGuest.Shared + 64, 0UL);
        Assert.Equal(0, guest.Operate(Hypercall.EventChannelOp, 12, BitConverter.GetBytes(Words / 4096)));
        Assert.Equal((0xa000_0000u, 0xa000_0000u, 0u), (guest.Ram.Get<uint>(Words + (bit * 4)), guest.Ram.Get<uint>(Words + (early * 4)), guest.Ram.Get<uint>(Words + (closed * 4))));
        Assert.Equal([(0xfee0_0000UL, 0xf3u), (0xfee0_1000UL, 0xf3u)], guest.Interrupts.Skip(before).OrderBy(static i => i.Address));
    }

    [Fact]
    public void WordsThatAGuestHasSpoiledAreItsOwnLoss()
    {
        _guest.SetUp();
        uint[] ports = UseQueues(2);
        _guest.Event(4, ports[0]);
        _guest.Ram.Set(Words + (ports[0] * 4), uint.MaxValue);
        _guest.Event(4, ports[1]);
        _guest.Ram.Set(Words + (ports[1] * 4), 0u);
        _guest.Event(4, ports[1]);
        _guest.Event(4, ports[0]);
        Assert.Equal(ports[1], _guest.Ram.Get<uint>(Control + 8 + 28));
        Assert.Equal(XenError.InvalidArgument, Queue(11, 0xdead_0000UL, 0));
        Assert.Equal(XenError.InvalidArgument, Queue(11, Control / 4096, 4090UL));
        Assert.Equal(XenError.NoEntry, Queue(11, Control / 4096, 9UL << 32));
        Assert.Equal(XenError.InvalidArgument, Queue(12, 0xdead_0000UL));
        for (int pages = 1; pages < FifoEvents.MaximumPages; pages++)
        {
            Assert.Equal(0, Queue(12, Words / 4096));
        }

        Assert.Equal(XenError.NoSpace, Queue(12, Words / 4096));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void QueuesHaveRoomForAsManyChannelsAsTheirLinksCanName(bool saves)
    {
        const ulong Array = GuestRam.Start + 0x10_0000;
        const uint PageCount = 128;
        const uint Last = (PageCount * 1024) - 1;
        _guest.SetUp();
        uint[] low = UseQueues(2);
        for (uint port = low[^1] + 1; port <= Last; port++)
        {
            Assert.Equal(0, _guest.Event(7, 1, 0));
            Assert.Equal(port, _guest.Ram.Get<uint>(XenGuest.Argument + 4));
        }

        Assert.Equal(XenError.NoSpace, _guest.Event(7, 0, 0));
        Assert.Equal(XenError.InvalidArgument, _guest.Event(4, Last + 1));

        // One is raised while there is no word for it; of a state that was saved, numbers above 65535 come back, too.
        Assert.Equal(0, _guest.Event(4, Last));
        using XenGuest? next = saves ? _guest.GoOn() : null;
        XenGuest guest = next ?? _guest;
        byte[] page = new byte[24];
        for (uint i = 1; i < PageCount; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(page, (Array / 4096) + i);
            Assert.Equal(0, guest.Operate(Hypercall.EventChannelOp, 12, page));
        }

        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(12), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(page, (Control / 4096) + 8);
        Assert.Equal(0, guest.Operate(Hypercall.EventChannelOp, 11, page));
        Assert.Equal(0x8000_0000u, guest.Ram.Get<uint>(Array + (Last * 4)));
        guest.Ram.Set(Array + (Last * 4), 0u);
        Assert.Equal((0, 0), (guest.Event(4, Last), guest.Event(4, Last - 1)));
        Assert.Equal((Last, 0xa000_0000u | (Last - 1), 0xa000_0000u), (guest.Ram.Get<uint>(Control + 0x8000 + 8 + 28), guest.Ram.Get<uint>(Array + (Last * 4)), guest.Ram.Get<uint>(Array + ((Last - 1) * 4))));

        // The lowest that is free is the next.
        Assert.Equal((0, 0), (guest.Event(3, 70_000), guest.Event(3, low[0])));
        Assert.Equal((0, low[0]), (guest.Event(7, 0, 0), guest.Ram.Get<uint>(XenGuest.Argument + 4)));
        Assert.Equal((0, 70_000u), (guest.Event(7, 0, 0), guest.Ram.Get<uint>(XenGuest.Argument + 4)));
        Assert.Equal(XenError.NoSpace, guest.Event(7, 0, 0));

        // A kernel that comes after it finds none of them.
        guest.Personality.Stop();
        guest.Personality.Reset();
        guest.Personality.Start();
        guest.SetUp();
        Assert.Equal(XenError.InvalidArgument, guest.Event(4, Last));
        Assert.Equal((0, 1u), (guest.Event(7, 0, 0), guest.Ram.Get<uint>(XenGuest.Argument + 4)));
    }

    [Fact]
    public void TimersRaiseTheirInterruptAndPastOnesAreRefusedIfAsked()
    {
        _guest.SetUp();
        Assert.Equal(0, _guest.Event(1, 0, 0, 0));
        _guest.Host.Clock.Advance(1000);
        Assert.Equal(XenError.OutOfTime, _guest.Processor(8, 0, 10, 1));
        Assert.Equal(0, _guest.Processor(8, 0, 5000, 1));
        _guest.Host.Clock.Advance(3999);
        Assert.Empty(_guest.Interrupts);
        _guest.Host.Clock.Advance(1);
        Assert.Single(_guest.Interrupts);
        Assert.Equal(XenError.InvalidArgument, _guest.Processor(6, 0, 5));
        Assert.Equal(0, _guest.Processor(6, 0, 2_000_000));
        ClearPending();
        _guest.Host.Clock.Advance(2_000_000);
        ClearPending();
        _guest.Host.Clock.Advance(2_000_000);
        Assert.Equal(3, _guest.Interrupts.Count);
        Assert.Equal(0, _guest.Processor(7, 0));
        ClearPending();
        _guest.Host.Clock.Advance(9_000_000);
        Assert.Equal(3, _guest.Interrupts.Count);
        Assert.Equal(0, _guest.Processor(8, 0, ulong.MaxValue, 0));
    }

    [Fact]
    public void AProcessorsInformationMovesOnceAndKeepsWhatIsPending()
    {
        _guest.SetUp();
        _guest.Event(7, 0, 0);
        _guest.Event(4, _guest.Ram.Get<uint>(XenGuest.Argument + 4));
        Assert.Equal(XenError.InvalidArgument, _guest.Processor(10, 0, Other / 4096, 4090));
        Assert.Equal(XenError.InvalidArgument, _guest.Processor(10, 0, 0xdead_0000, 0));
        Assert.Equal(0, _guest.Processor(10, 0, Other / 4096, 0x40));
        Assert.Equal((1, 1UL), (_guest.Ram.Get<byte>(Other + 0x40), _guest.Ram.Get<ulong>(Other + 0x48)));
        Assert.Equal(2, _guest.Interrupts.Count);
        Assert.Equal(XenError.InvalidArgument, _guest.Processor(10, 0, Other / 4096, 0x80));
    }

    [Fact]
    public void RunStatesTellStolenTimeAlsoAcrossPages()
    {
        _guest.SetUp();
        Assert.Equal(0, _guest.Call((uint)Hypercall.VmAssist, 0, 5));
        Assert.Equal(XenError.InvalidArgument, _guest.Call((uint)Hypercall.VmAssist, 0, 4));
        Assert.Equal(XenError.BadAddress, _guest.Processor(5, 0, XenGuest.Invalid));
        const ulong Place = Other + 4096 - 20;
        Assert.Equal(0, _guest.Processor(5, 0, Place));
        _guest.Host.Stolen = 30_000_000;
        _guest.Host.Clock.Advance(250_000_000);
        byte[] structure = _guest.Ram.Get(Place, RunState.Length);
        Assert.Equal(
            (0, 250_000_000UL, 220_000_000UL, 30_000_000UL),
            (BinaryPrimitives.ReadInt32LittleEndian(structure), BinaryPrimitives.ReadUInt64LittleEndian(structure.AsSpan(8)), BinaryPrimitives.ReadUInt64LittleEndian(structure.AsSpan(16)), BinaryPrimitives.ReadUInt64LittleEndian(structure.AsSpan(24))));
    }

    [Fact]
    public void RunStatesTellWhatAProcessorDoesAndHowLongItHasDoneWhat()
    {
        const ulong Place = Other + 0x100;
        const ulong Copy = Other + 0x200;
        XenPersonality xen = _guest.Personality;
        _guest.SetUp();
        _guest.Host.Clock.Advance(1_000);
        _guest.Host.Stolen = 77;
        Assert.Equal(0, _guest.Processor(5, 0, Place));
        Assert.Equal((0u, 1_000UL, 0UL, 0UL, 0UL, 0UL), GetTimes(Place));
        _guest.Host.Clock.Advance(2_000);
        xen.OnWait(0);
        Assert.Equal((2u, 3_000UL, 2_000UL, 0UL, 0UL, 0UL), GetTimes(Place));

        // Times are added up when a state ends; who asks is told of the present one, too.
        _guest.Host.Clock.Advance(500);
        Assert.Equal((2u, 3_000UL, 2_000UL, 0UL, 0UL, 0UL), GetTimes(Place));
        Assert.Equal(0, _guest.Call((uint)Hypercall.VcpuOp, 4, 0, Copy, processor: 1));
        Assert.Equal((2u, 3_000UL, 2_000UL, 0UL, 500UL, 0UL), GetTimes(Copy));
        xen.OnResume(0);
        Assert.Equal((0u, 3_500UL, 2_000UL, 0UL, 500UL, 0UL), GetTimes(Place));

        // One that was taken down is no idle one.
        _guest.Signals[0].SignalStandStill();
        xen.OnWait(0);
        _guest.Host.Clock.Advance(40);
        _guest.Signals[0].SignalGoOn();
        xen.OnResume(0);
        Assert.Equal((0u, 3_540UL, 2_000UL, 0UL, 500UL, 40UL), GetTimes(Place));

        // What the host has taken while it was about to wake it was not blocked; nothing becomes less.
        xen.OnWait(0);
        _guest.Host.Stolen = 77 + 100;
        _guest.Host.Clock.Advance(250_000_000);
        Assert.Equal((2u, 3_540UL, 2_000UL, 0UL, 500UL, 40UL), GetTimes(Place));
        xen.OnResume(0);
        Assert.Equal((0u, 250_003_540UL, 2_000UL, 100UL, 250_000_400UL, 40UL), GetTimes(Place));

        // A structure that is placed again, as by a processor that comes back, goes on.
        _guest.Host.Clock.Advance(60);
        Assert.Equal(0, _guest.Processor(5, 0, Copy));
        xen.OnWait(0);
        Assert.Equal((2u, 250_003_600UL, 2_060UL, 100UL, 250_000_400UL, 40UL), GetTimes(Copy));
        xen.Stop();
        xen.Reset();
        xen.Start();
        xen.OnResume(0);
        Assert.Equal(2u, GetTimes(Copy).State);
    }

    [Fact]
    public void AProcessorThatPollsWaitsUntilItsChannelIsPending()
    {
        _guest.SetUp();
        _guest.Event(7, 0, 0);
        uint port = _guest.Ram.Get<uint>(XenGuest.Argument + 4);
        _guest.Ram.Set(XenGuest.Shared + 2560, 1UL << (int)port);
        _guest.Ram.Set(Other, port);
        byte[] poll = new byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(poll, Other);
        poll[8] = 1;
        _guest.Operate(Hypercall.SchedOp, 3, poll);
        Assert.True(_guest.Halts, "Nothing is pending, and nobody waits.");
        Assert.Equal(0, _guest.Signals[0].Kicks);
        _guest.Ram.Memory.TryWrite(XenGuest.Argument, poll);
        _guest.Call((uint)Hypercall.EventChannelOp, 4, Other, processor: 1);
        Assert.Equal(1, _guest.Signals[0].Kicks);
        Assert.Equal((0, false), (_guest.Operate(Hypercall.SchedOp, 3, poll), _guest.Halts));

        // For nothing in particular: the next event of the domain ends it.
        poll[8] = 0;
        _guest.Operate(Hypercall.SchedOp, 3, poll);
        Assert.True(_guest.Halts, "Nothing is said to wait for, and nobody waits.");
        _guest.Call((uint)Hypercall.EventChannelOp, 4, Other, processor: 1);
        Assert.Equal(2, _guest.Signals[0].Kicks);
        poll[8] = 200;
        Assert.Equal(XenError.InvalidArgument, _guest.Operate(Hypercall.SchedOp, 3, poll));
    }

    [Fact]
    public void AProcessorThatPollsForATimeWaitsNoLonger()
    {
        const ulong Limit = 5_000_000;
        _guest.SetUp();
        _guest.Event(7, 0, 0);
        uint port = _guest.Ram.Get<uint>(XenGuest.Argument + 4);
        _guest.Ram.Set(Other, port);
        byte[] poll = new byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(poll, Other);
        BinaryPrimitives.WriteUInt64LittleEndian(poll.AsSpan(16), Limit);
        foreach (byte ports in new byte[] { 0, 1 })
        {
            poll[8] = ports;
            _guest.Operate(Hypercall.SchedOp, 3, poll);
            Assert.True(_guest.Halts, "The time is not over.");
        }

        _guest.Host.Clock.Advance(Limit - 1);
        Assert.Equal(0, _guest.Signals[0].Kicks);
        _guest.Host.Clock.Advance(1);
        Assert.Equal(1, _guest.Signals[0].Kicks);
        Assert.Equal((0, false), (_guest.Operate(Hypercall.SchedOp, 3, poll), _guest.Halts));

        // An event is earlier, and its timer does not fire any more.
        BinaryPrimitives.WriteUInt64LittleEndian(poll.AsSpan(16), 3 * Limit);
        _guest.Operate(Hypercall.SchedOp, 3, poll);
        Assert.True(_guest.Halts, "The time is not over.");
        _guest.Ram.Memory.TryWrite(XenGuest.Argument, BitConverter.GetBytes(port));
        _guest.Call((uint)Hypercall.EventChannelOp, 4, XenGuest.Argument, processor: 1);
        Assert.Equal(2, _guest.Signals[0].Kicks);
        Assert.Equal((0, false), (_guest.Operate(Hypercall.SchedOp, 3, poll), _guest.Halts));
        _guest.Host.Clock.Advance(3 * Limit);
        Assert.Equal(2, _guest.Signals[0].Kicks);

        // A machine that is paused keeps the time.
        _guest.Ram.Set(XenGuest.Shared + 2048, 0UL);
        BinaryPrimitives.WriteUInt64LittleEndian(poll.AsSpan(16), 6 * Limit);
        _guest.Operate(Hypercall.SchedOp, 3, poll);
        _guest.Personality.Stop();
        _guest.Host.Clock.Advance(3 * Limit);
        Assert.Equal(2, _guest.Signals[0].Kicks);
        _guest.Personality.Start();
        _guest.Host.Clock.Advance(1);
        Assert.Equal(3, _guest.Signals[0].Kicks);
    }

    [Fact]
    public void AProcessorBlocksUntilAnEventIsPending()
    {
        const ulong Information = XenGuest.Shared + 64;
        _guest.SetUp();
        _guest.Event(7, 1, 0);
        uint port = _guest.Ram.Get<uint>(XenGuest.Argument + 4);

        // SCHEDOP_block unmasks the upcall. The event has its vector, and wakes the processor even if that takes no interrupts; once.
        _guest.Ram.Set(Information, (ushort)0x100);
        Assert.Equal((0, true), (_guest.Call((uint)Hypercall.SchedOp, 1, processor: 1), _guest.Halts));
        Assert.Equal((0, 0), (_guest.Ram.Get<ushort>(Information), _guest.Signals[1].Kicks));
        _guest.Ram.Set(Other, port);
        Assert.Equal(0, _guest.Call((uint)Hypercall.EventChannelOp, 4, Other));
        Assert.Equal((1, 1, 0), (_guest.Signals[1].Kicks, _guest.Interrupts.Count, _guest.Signals[0].Kicks));

        // What is pending already is there to be looked at.
        Assert.Equal((0, false), (_guest.Call((uint)Hypercall.SchedOp, 1, processor: 1), _guest.Halts));
        _guest.Ram.Set(Information, 0UL);
        _guest.Ram.Set(Information + 8, 0UL);
        _guest.Ram.Set(XenGuest.Shared + 2048, 0UL);
        Assert.Equal(0, _guest.Call((uint)Hypercall.EventChannelOp, 4, Other));
        Assert.Equal((1, 2), (_guest.Signals[1].Kicks, _guest.Interrupts.Count));

        // Another processor's events are no concern of this one.
        Assert.Equal((0, true), (_guest.Call((uint)Hypercall.SchedOp, 1), _guest.Halts));
        Assert.Equal(0, _guest.Call((uint)Hypercall.EventChannelOp, 4, Other));
        Assert.Equal(0, _guest.Signals[0].Kicks);
    }

    [Fact]
    public void TimersWakeAProcessorThatBlocksAndHasNoVector()
    {
        Assert.Equal(0, _guest.AddToPhysmap(0, 0, XenGuest.Shared));
        Assert.Equal(0, _guest.Event(1, 0, 0, 0));
        Assert.Equal(0, _guest.Processor(8, 0, 5_000_000, 0));
        Assert.Equal((0, true), (_guest.Call((uint)Hypercall.SchedOp, 1), _guest.Halts));
        _guest.Host.Clock.Advance(4_999_999);
        Assert.Equal(0, _guest.Signals[0].Kicks);
        _guest.Host.Clock.Advance(1);
        Assert.Equal(1, _guest.Signals[0].Kicks);
        Assert.Empty(_guest.Interrupts);
        Assert.Equal(XenError.InvalidArgument, _guest.Call((uint)Hypercall.VcpuOp, 9, 1));
    }

    [Fact]
    public void AProcessorThatYieldsLetsOthersRun()
    {
        Assert.Equal((0, GuestCallEnd.GoOn, 1), (_guest.Call((uint)Hypercall.SchedOp, 0), _guest.End, _guest.Caller.Waits));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(4096u)]
    [InlineData(uint.MaxValue)]
    public void NobodyWaitsForAChannelThatThereCannotBe(uint port)
    {
        _guest.SetUp();
        _guest.Ram.Set(Other, port);
        byte[] poll = new byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(poll, Other);
        poll[8] = 1;
        _guest.Ram.Memory.TryWrite(XenGuest.Argument, poll);
        Assert.Equal(XenError.InvalidArgument, _guest.Call((uint)Hypercall.SchedOp, 3, XenGuest.Argument));
    }

    [Fact]
    public void GrantFramesMayLieWhereThereIsNothing()
    {
        const ulong Nowhere = 0x27fe_0000;
        const ulong Window = 0xf000_0000;
        var grants = _guest.Personality.Domain.Grants;
        Lamina.Personalities.Xen.Platform.PlatformDevice platform = new(_guest.Personality, new CheckedLock());
        Machine.AddressSpaces.AddressSpace memory = new(1UL << 47, new CheckedLock());
        platform.Map(new Machine.AddressSpaces.AddressSpace(Machine.AddressSpaces.AddressSpace.PortCount, new CheckedLock()), memory);
        memory.Map("other", 0xfee0_0000, 0x1000, platform);
        memory.Map("window", Window, 0x10_0000, platform);
        foreach (ulong wrong in new ulong[] { 0xfee0_0000, Window, 1UL << 46, ~0xfffUL })
        {
            Assert.Equal(XenError.InvalidArgument, _guest.AddToPhysmap(1, 0, wrong));
        }

        // It is memory then, over several reads and writes, and keeps what the frame held.
        Assert.Equal(0, _guest.AddToPhysmap(1, 0, Nowhere));
        Assert.Equal(0, _guest.AddToPhysmap(1, 1, Nowhere - 0x1000));
        Assert.True(_guest.Ram.Memory.TryWrite(Nowhere + (5 * 8), new byte[] { 1, 0, 0, 0, 0x01, 0x01, 0, 0 }));
        Assert.True(grants.TryGet(5, write: true, out ulong address, out _), "The grant is there.");
        Assert.Equal(0x10_1000UL, address);
        Assert.True(_guest.Ram.Memory.TryWrite(Nowhere - 0x1000, new byte[] { 1, 0, 0, 0, 0x02, 0x01, 0, 0 }));
        Assert.True(grants.TryGet(512, write: true, out _, out _), "The grant is there.");

        // In the device's window, over which the bus says that there is something.
        platform.Function.WriteConfiguration(0x14, [0, 0, 0, 0xf0]);
        Assert.Equal(0, _guest.AddToPhysmap(1, 0, Window + 0x3000));
        Assert.Equal(Window + 0x3000, grants.GetPlace(0));
        Assert.True(grants.TryGet(5, write: true, out address, out _), "It is where the frame is.");
        Assert.True(_guest.Ram.Memory.TryWrite(Window + 0x3000 + (5 * 8), 0UL));
        Assert.False(grants.TryGet(5, write: true, out _, out _), "The frame is looked at where it was.");

        // A page that was memory stays that; a guest has so many.
        Assert.True(_guest.Ram.Memory.TryRead(Nowhere, out ulong _));
        long result = 0;
        ulong placed = 0;
        while (placed < 100 && result == 0)
        {
            result = _guest.AddToPhysmap(1, 2, 0x3000_0000 + (placed++ * 0x1000));
        }

        Assert.Equal((XenError.InvalidArgument, 62UL), (result, placed));
        Assert.Equal(0, _guest.AddToPhysmap(1, 2, Nowhere));

        // After a reset the places are free again.
        _guest.Personality.Reset();
        Assert.Equal((1u, 0UL), (grants.FrameCount, grants.GetPlace(0)));
        Assert.False(_guest.Ram.Memory.TryRead(Nowhere, out ulong _));
        Assert.Equal(0, _guest.AddToPhysmap(1, 2, 0x4000_0000));
        Assert.False(grants.TryGet(5, write: true, out _, out _));
    }

    [Fact]
    public void ShutdownsReachTheMachine()
    {
        foreach (byte reason in new byte[] { 0, 1, 3, 2, 9 })
        {
            _guest.Operate(Hypercall.SchedOp, 2, reason, 0, 0, 0);
        }

        Assert.Equal(["power off", "reset", "crash"], _guest.Requests.Asked);
    }

    [Fact]
    public void AGuestThatHasSuspendedItselfStandsStillWhileTheHostWantsThat()
    {
        XenDomain domain = _guest.Personality.Domain;
        byte[] suspend = [2, 0, 0, 0];
        Assert.Equal((1L, false), (_guest.Operate(Hypercall.SchedOp, 2, suspend), _guest.Waits));
        Assert.False(domain.IsSuspended);
        domain.HoldsSuspension = true;
        _guest.Operate(Hypercall.SchedOp, 2, suspend);
        Assert.True(_guest.Waits, "The host wants the guest to stand still.");
        Assert.True(domain.IsSuspended, "It does.");

        // It asks again now and then; so does one that was saved, which nobody holds.
        _guest.Host.Clock.Advance(100_000_000);
        Assert.Equal(1, _guest.Signals[0].Kicks);
        _guest.Operate(Hypercall.SchedOp, 2, suspend);
        Assert.True(_guest.Waits, "The host wants the guest to stand still.");
        domain.HoldsSuspension = false;
        _guest.Host.Clock.Advance(100_000_000);
        Assert.Equal(2, _guest.Signals[0].Kicks);
        Assert.Equal((1L, false), (_guest.Operate(Hypercall.SchedOp, 2, suspend), _guest.Waits));
        _guest.Host.Clock.Advance(1_000_000_000);
        Assert.Equal(2, _guest.Signals[0].Kicks);
        domain.HoldsSuspension = domain.IsSuspended = true;
        _guest.Personality.Reset();
        Assert.False(domain.HoldsSuspension || domain.IsSuspended);
    }

    [Fact]
    public void ParametersAreTheToolstacksButForTheCallback()
    {
        byte[] parameter = new byte[16];
        BinaryPrimitives.WriteUInt16LittleEndian(parameter, DomainId.Self);
        Assert.Equal(0, _guest.Operate(Hypercall.HvmOp, 0, parameter));
        parameter[4] = 1;
        Assert.Equal(XenError.NotPermitted, _guest.Operate(Hypercall.HvmOp, 0, parameter));
        parameter[4] = 39;
        Assert.Equal(XenError.InvalidArgument, _guest.Operate(Hypercall.HvmOp, 1, parameter));
        parameter[4] = 0;
        parameter[15] = 2;
        parameter[8] = 0xf3;
        Assert.Equal(XenError.InvalidArgument, _guest.Operate(Hypercall.HvmOp, 0, parameter));
    }

    [Fact]
    public void GrantsAreLookedUpWhereTheGuestHasPutThem()
    {
        var grants = _guest.Personality.Domain.Grants;
        Assert.Equal(XenError.InvalidArgument, _guest.AddToPhysmap(1, 32, Other));
        Assert.Equal(XenError.InvalidArgument, _guest.AddToPhysmap(1, 0, 0xdead_0000));
        Assert.Equal(0, _guest.AddToPhysmap(1, 1, Other));
        Assert.Equal(2u, grants.FrameCount);
        SetGrant(3, 1, 0, Words);
        SetGrant(4, 5, 0, Words);
        SetGrant(5, 1, 7, Words);
        SetGrant(6, 1, 0, 0xdead_0000);
        SetGrant(7, 2, 0, Words);
        Assert.True(grants.TryGet(512 + 3, write: true, out ulong address, out nint host));
        Assert.Equal(Words, address);
        Assert.NotEqual(0, host);
        Assert.True(grants.TryGet(512 + 4, write: false, out _, out _));
        Assert.False(grants.TryGet(512 + 4, write: true, out _, out _));
        foreach (uint reference in new[] { 512u + 5, 512u + 6, 512u + 7, 512u + 8, 1024u, 1u << 20, uint.MaxValue })
        {
            Assert.False(grants.TryGet(reference, write: false, out _, out _));
        }

        Assert.Equal(0, _guest.Operate(Hypercall.GrantTableOp, 6, 0));
    }

    [Fact]
    public void PagesGoBackAndComeAgainAndNoMoreThanThereAre()
    {
        byte[] reservation = new byte[32];
        BinaryPrimitives.WriteUInt64LittleEndian(reservation, Other);
        reservation[8] = 2;
        BinaryPrimitives.WriteUInt16LittleEndian(reservation.AsSpan(24), DomainId.Self);
        _guest.Ram.Set(Other, Words / 4096);
        _guest.Ram.Set(Other + 8, 0xdead_0000UL);
        long before = _guest.Call((uint)Hypercall.MemoryOp, 3);
        Assert.Equal(1, _guest.Operate(Hypercall.MemoryOp, 1, reservation));
        Assert.Equal(before - 1, _guest.Call((uint)Hypercall.MemoryOp, 3));
        Assert.Equal(1, _guest.Operate(Hypercall.MemoryOp, 6, reservation));
        Assert.Equal(0, _guest.Operate(Hypercall.MemoryOp, 6, reservation));
        reservation[16] = 40;
        Assert.Equal(0, _guest.Operate(Hypercall.MemoryOp, 1, reservation));
    }

    private (uint State, ulong Entered, ulong Running, ulong Runnable, ulong Blocked, ulong Offline) GetTimes(ulong address) =>
        (_guest.Ram.Get<uint>(address), _guest.Ram.Get<ulong>(address + 8), _guest.Ram.Get<ulong>(address + 16), _guest.Ram.Get<ulong>(address + 24), _guest.Ram.Get<ulong>(address + 32), _guest.Ram.Get<ulong>(address + 40));

    private void SetGrant(uint reference, ushort flags, ushort domain, ulong address)
    {
        _guest.Ram.Set(Other + (reference * 8), flags);
        _guest.Ram.Set(Other + (reference * 8) + 2, domain);
        _guest.Ram.Set(Other + (reference * 8) + 4, (uint)(address / 4096));
    }

    private long Queue(uint operation, ulong first, ulong second = 0)
    {
        byte[] structure = new byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(structure, first);
        BinaryPrimitives.WriteUInt64LittleEndian(structure.AsSpan(8), second);
        return _guest.Operate(Hypercall.EventChannelOp, operation, structure);
    }

    private uint[] UseQueues(int count)
    {
        Assert.Equal(0, Queue(11, Control / 4096));
        Assert.Equal(FifoEvents.LinkBits, _guest.Ram.Get<byte>(XenGuest.Argument + 16));
        Assert.Equal(0, Queue(12, Words / 4096));
        uint[] ports = new uint[count];
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(0, _guest.Event(7, 0, 0));
            ports[i] = _guest.Ram.Get<uint>(XenGuest.Argument + 4);
        }

        return ports;
    }

    private void ClearPending()
    {
        _guest.Ram.Set(XenGuest.Shared, 0UL);
        _guest.Ram.Set(XenGuest.Shared + 8, 0UL);
        _guest.Ram.Set(XenGuest.Shared + 2048, 0UL);
    }
}
