using Lamina.Chipset.Interrupts;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Tests.Interrupts;

/// <summary>The local APIC: registers, priorities, commands between processors, modes.</summary>
public sealed class LocalApicTests
{
    private const uint BaseMsr = 0x1b;
    private const ulong Enabled = 0xfee0_0800;
    private const ulong Extended = 0xfee0_0c00;

    private readonly TestBoard _board = new(4);

    public LocalApicTests() => _board.EnableApics();

    [Fact]
    public void TheStateAfterResetIsTheManuals()
    {
        TestBoard board = new(2);
        Assert.Equal(0x0100_0000u, board.Apic(1, 0x20));
        Assert.Equal(0x14u, board.Apic(0, 0x30) & 0xff);
        Assert.Equal(5u, (board.Apic(0, 0x30) >> 16) & 0xff);
        Assert.Equal(0xffu, board.Apic(0, 0xf0));
        Assert.Equal(0xffff_ffffu, board.Apic(0, 0xe0));
        for (int register = 0x320; register <= 0x370; register += 0x10)
        {
            Assert.Equal(0x1_0000u, board.Apic(0, register));
        }

        Assert.True(board.Apics[0].TryReadMsr(BaseMsr, out ulong bootstrap));
        Assert.True(board.Apics[1].TryReadMsr(BaseMsr, out ulong other));
        Assert.Equal((0xfee0_0900UL, 0xfee0_0800UL), (bootstrap, other));
        Assert.Equal(0xfee0_0000UL, board.Apics[0].PageAddress);
    }

    [Fact]
    public void HigherVectorsComeFirstAndServiceBlocksTheirClass()
    {
        Send(0, 0x000c_0041); // To the others only.
        Assert.Null(_board.Acknowledge(0));
        SelfSend(0x41);
        SelfSend(0x83);
        SelfSend(0x81);
        Assert.Equal((byte)0x83, _board.Acknowledge());
        Assert.Equal(0x80u, _board.Apic(0, 0xa0));
        Assert.Null(_board.Acknowledge());
        SelfSend(0x91);
        Assert.Equal((byte)0x91, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        Assert.False(_board.Apics[0].HasInterrupt);
        int before = _board.Processors[0].Interrupts;
        _board.Apic(0, 0xb0, 0);
        Assert.True(_board.Processors[0].Interrupts > before, "The end of an interrupt makes another deliverable: the processor must be told.");
        Assert.Equal((byte)0x81, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        Assert.Equal((byte)0x41, _board.Acknowledge());
    }

    [Fact]
    public void AFlagThatIsTakenDownEndsTheInterrupt()
    {
        Flag flag = new();
        _board.Apics[0].Connect(flag);
        SelfSend(0x41);
        Assert.Equal((byte)0x41, _board.Acknowledge());
        Assert.True(flag.IsUp);
        flag.IsUp = false;
        SelfSend(0x42);
        Assert.Equal((byte)0x42, _board.Acknowledge());
        Assert.True(flag.IsUp);

        // Another that waits for the end takes the flag down, so that the guest tells.
        SelfSend(0x43);
        Assert.False(_board.Apics[0].HasInterrupt);
        Assert.False(flag.IsUp);
        _board.Apic(0, 0xb0, 0);
        Assert.Equal((byte)0x43, _board.Acknowledge());
        Assert.Equal(1u << 3, _board.Apic(0, 0x120));
        Assert.False(flag.IsUp);
    }

    // A processor looks for another interrupt behind each, and before it goes on.
    [Fact]
    public void AFlagStaysUpWhileNothingWaitsForTheEnd()
    {
        Flag flag = new();
        _board.Apics[0].Connect(flag);
        SelfSend(0x41);
        Assert.Equal((byte)0x41, _board.Acknowledge());
        Assert.False(_board.Apics[0].HasInterrupt);
        Assert.Equal(0, _board.Apics[0].TaskPriorityClass);
        Assert.True(flag.IsUp, "looking for another interrupt takes the flag down");
        flag.IsUp = false;
        int told = _board.Processors[0].Interrupts;
        SelfSend(0x41);
        Assert.True(_board.Apics[0].HasInterrupt, "the end by the flag was not seen");
        Assert.Equal((byte)0x41, _board.Acknowledge());
        Assert.False(_board.Apics[0].HasInterrupt);
        Assert.Equal(told + 1, _board.Processors[0].Interrupts); // Whoever looks need not be told again.
    }

    // The registers show the end, and the processor is told of what it lets through.
    [Fact]
    public void AnEndByTheFlagIsSeenInTheRegisters()
    {
        Flag flag = new();
        _board.Apics[0].Connect(flag);
        SelfSend(0x41);
        Assert.Equal((byte)0x41, _board.Acknowledge());
        Assert.Equal(0x40u, _board.Apic(0, 0xa0) & 0xf0);
        Assert.False(flag.IsUp, "the registers were read and the flag is still up");
        _board.Apic(0, 0xb0, 0);
        SelfSend(0x51);
        Assert.Equal((byte)0x51, _board.Acknowledge());
        Send(1, 0x42);
        flag.IsUp = false;
        int told = _board.Processors[0].Interrupts;
        Assert.Equal(0u, _board.Apic(0, 0xa0));
        Assert.Equal(told + 1, _board.Processors[0].Interrupts);
        Assert.Equal((byte)0x42, _board.Acknowledge());
    }

    [Fact]
    public void AFlagIsNotRaisedWhileAnotherInterruptWaits()
    {
        Flag flag = new();
        _board.Apics[0].Connect(flag);
        SelfSend(0x41);
        SelfSend(0x51);
        Assert.Equal((byte)0x51, _board.Acknowledge());
        Assert.False(flag.IsUp);
        _board.Apic(0, 0xb0, 0);
        Assert.Equal((byte)0x41, _board.Acknowledge());
        Assert.True(flag.IsUp);
    }

    [Fact]
    public void AFlagIsTakenDownBeforeItMoves()
    {
        Flag flag = new();
        _board.Apics[0].Connect(flag);
        SelfSend(0x41);
        Assert.Equal((byte)0x41, _board.Acknowledge());
        _board.Apics[0].Settle();
        Assert.False(flag.IsUp);
        Assert.Equal(1u << 1, _board.Apic(0, 0x120));
        _board.Apic(0, 0xb0, 0);
        SelfSend(0x42);
        Assert.Equal((byte)0x42, _board.Acknowledge());
        flag.IsUp = false;
        _board.Apics[0].Settle();
        flag.IsUp = true; // Of another place.
        Assert.Equal(0u, _board.Apic(0, 0x120));
        Assert.True(flag.IsUp);
    }

    // Its handler is gone, and the next one that finds the flag up would end nothing.
    [Fact]
    public void InitTakesTheFlagDown()
    {
        Flag flag = new();
        _board.Apics[0].Connect(flag);
        SelfSend(0x41);
        Assert.Equal((byte)0x41, _board.Acknowledge());
        Assert.True(_board.Apics[0].Accept(new InterruptMessage(0, false, DeliveryMode.Init, 0, false)));
        Assert.False(_board.Apics[0].HasInterrupt);
        Assert.False(flag.IsUp);
    }

    [Fact]
    public void AFlagThatIsUpIsSavedWithTheState()
    {
        Flag flag = new();
        _board.Apics[0].Connect(flag);
        SelfSend(0x41);
        Assert.Equal((byte)0x41, _board.Acknowledge());
        StateBag state = new();
        _board.Apics[0].Save(state);
        Assert.True(flag.IsUp);
        TestBoard after = new(4);
        Flag same = new();
        after.Apics[0].Connect(same);
        Assert.True(after.Apics[0].Restore(state));
        Assert.Equal(0u, after.Apic(0, 0x120));
        Assert.True(flag.IsUp);
    }

    [Fact]
    public void TheTaskPriorityHoldsInterruptsBack()
    {
        _board.Apics[0].TaskPriorityClass = 8;
        Assert.Equal(0x80u, _board.Apic(0, 0x80));
        SelfSend(0x8f);
        Assert.False(_board.Apics[0].HasInterrupt);
        Assert.Null(_board.Acknowledge());
        int before = _board.Processors[0].Interrupts;
        _board.Apics[0].TaskPriorityClass = 7;
        Assert.True(_board.Processors[0].Interrupts > before, "Lowering the task priority must wake the processor.");
        Assert.Equal((byte)0x8f, _board.Acknowledge());
        _board.Apic(0, 0x80, 0xf3);
        Assert.Equal(0xf3u, _board.Apic(0, 0xa0));
    }

    [Theory]
    [InlineData(0x0004_0041u, 0u, 0b0001)] // Self.
    [InlineData(0x0008_0041u, 0u, 0b1111)] // All.
    [InlineData(0x000c_0041u, 0u, 0b1110)] // Others.
    [InlineData(0x0000_0041u, 0x0300_0000u, 0b1000)] // Physical 3.
    [InlineData(0x0000_0041u, 0xff00_0000u, 0b1111)] // Physical, all.
    [InlineData(0x0000_0841u, 0x0600_0000u, 0b0110)] // Flat set.
    [InlineData(0x0000_0041u, 0x0900_0000u, 0b0000)] // Nobody.
    public void CommandsReachTheirDestinations(uint low, uint high, int expected)
    {
        for (int i = 0; i < 4; i++)
        {
            _board.Apic(i, 0xd0, 1u << (24 + i));
        }

        _board.Apic(0, 0x310, high);
        _board.Apic(0, 0x300, low);
        Assert.Equal(expected, Taken(0x41));
        Assert.Equal(low, _board.Apic(0, 0x300));
    }

    [Fact]
    public void TheClusterModelSelectsWithinAndAcrossClusters()
    {
        uint[] logical = [0x11, 0x12, 0x21, 0x22];
        for (int i = 0; i < 4; i++)
        {
            _board.Apic(i, 0xe0, 0x0fff_ffff);
            _board.Apic(i, 0xd0, logical[i] << 24);
        }

        _board.Apic(0, 0x310, 0x2300_0000);
        _board.Apic(0, 0x300, 0x0841);
        Assert.Equal(0b1100, Taken(0x41));
        _board.Apic(0, 0x310, 0xf100_0000);
        _board.Apic(0, 0x300, 0x0852);
        Assert.Equal(0b0101, Taken(0x52));
    }

    [Fact]
    public void StartingAProcessorIsInitThenStartUp()
    {
        _board.Apic(1, 0x320, 0x31);
        _board.Apic(0, 0x310, 0x0100_0000);
        _board.Apic(0, 0x300, 0x0000_c500);
        _board.Apic(0, 0x300, 0x0000_8500); // The de-assertion does nothing.
        _board.Apic(0, 0x300, 0x0000_4699);
        Assert.Equal(1, _board.Processors[1].Inits);
        Assert.Equal([0x99], _board.Processors[1].StartUps);
        Assert.Equal(0x0100_0000u, _board.Apic(1, 0x20));
        Assert.Equal(0xffu, _board.Apic(1, 0xf0));
        Assert.Equal(0x1_0000u, _board.Apic(1, 0x320));
    }

    [Fact]
    public void NonMaskableAndSystemManagementReachTheProcessor()
    {
        _board.Apic(0, 0x310, 0x0200_0000);
        _board.Apic(0, 0x300, 0x4400);
        _board.Apic(0, 0x300, 0x4200);
        Assert.Equal((1, 1), (_board.Processors[2].NonMaskable, _board.Processors[2].SystemManagement));
        _board.Apic(0, 0x360, 0x400);
        _board.Bus.PulseNonMaskable();
        Assert.Equal(1, _board.Processors[0].NonMaskable);
        Assert.Equal(0, _board.Processors[1].NonMaskable);
    }

    [Fact]
    public void ASoftwareDisabledApicTakesNoVectorsAndMasksItsEntries()
    {
        _board.Apic(0, 0x370, 0xfe);
        _board.Apic(0, 0xf0, 0xff);
        Assert.Equal(0x1_00feu, _board.Apic(0, 0x370));
        _board.Apic(0, 0x370, 0xfe);
        Assert.Equal(0x1_00feu, _board.Apic(0, 0x370));
        SelfSend(0x41);
        Assert.Null(_board.Acknowledge());
        _board.Bus.Send(0xfee0_0000, 0x0400);
        Assert.Equal(1, _board.Processors[0].NonMaskable);
    }

    [Fact]
    public void ErrorsAreLatchedByAWriteAndInterrupt()
    {
        _board.Apic(0, 0x370, 0xfe);
        SelfSend(0x0f);
        Assert.Equal(0u, _board.Apic(0, 0x280));
        Assert.Equal((byte)0xfe, _board.Acknowledge());
        _board.Apic(0, 0x280, 0);
        Assert.Equal(0x20u, _board.Apic(0, 0x280));
        _board.Apic(0, 0x3f0);
        _board.Bus.Send(0xfee0_0000, 0x05);
        _board.Apic(0, 0x280, 0);
        Assert.Equal(0xc0u, _board.Apic(0, 0x280));
        _board.Apic(0, 0x280, 0);
        Assert.Equal(0u, _board.Apic(0, 0x280));
    }

    [Fact]
    public void OnlyTheManualsTransitionsOfTheBaseRegisterArePossible()
    {
        TryBase(0xfee0_0500, false); // x2APIC without enable.
        TryBase(Extended, true);
        Assert.Equal(ulong.MaxValue, _board.Apics[0].PageAddress);
        TryBase(Enabled, false); // Back to xAPIC only through disabled.
        TryBase(0xfee0_0000, true);
        Assert.False(_board.Apics[0].IsEnabled);
        TryBase(Extended, false); // Disabled to x2APIC.
        TryBase(Enabled, true);
        TryBase(Enabled | 1, false); // Reserved bits.
        TryBase(Enabled | (1UL << 50), false);
        TryBase(0x1234_5800, true);
        Assert.Equal(0x1234_5000UL, _board.Apics[0].PageAddress);
    }

    [Fact]
    public void ExtendedRegistersAreThere()
    {
        Assert.False(_board.Apics[2].TryReadMsr(0x802, out _));
        _board.Apics[2].TryWriteMsr(BaseMsr, Extended);
        Assert.Equal(2UL, Read(2, 0x802));
        Assert.Equal(4UL, Read(2, 0x80d)); // Cluster 0, bit 2.
        Assert.True(_board.Apics[2].TryWriteMsr(0x83f, 0x77));
        Assert.Equal((byte)0x77, _board.Acknowledge(2));
        Assert.True(_board.Apics[2].TryWriteMsr(0x80b, 0));
        Assert.True(_board.Apics[2].TryWriteMsr(0x830, 0x0000_0001_0000_0055)); // To processor 1, which is in xAPIC mode.
        Assert.Equal((byte)0x55, _board.Acknowledge(1));
        Assert.Equal(0x0000_0001_0000_0055UL, Read(2, 0x830));
        Assert.True(_board.Apics[2].TryWriteMsr(0x830, 0xffff_ffff_0000_0066));
        Assert.Equal(0b1111, Taken(0x66));
    }

    [Theory]
    [InlineData(0x80b, 1UL)] // EOI takes only 0.
    [InlineData(0x802, 0UL)]
    [InlineData(0x803, 0UL)]
    [InlineData(0x80a, 0UL)]
    [InlineData(0x80d, 0UL)]
    [InlineData(0x80e, 0UL)]
    [InlineData(0x810, 0UL)]
    [InlineData(0x828, 1UL)]
    [InlineData(0x831, 0UL)]
    [InlineData(0x839, 0UL)]
    [InlineData(0x808, 0x100UL)]
    [InlineData(0x80f, 0x2000UL)]
    [InlineData(0x830, 0x0010_0000UL)]
    [InlineData(0x832, 0x0008_0000UL)]
    [InlineData(0x838, 0x1_0000_0000UL)]
    [InlineData(0x83e, 4UL)]
    [InlineData(0x83f, 0x100UL)]
    [InlineData(0x840, 0UL)]
    public void ExtendedWritesThatTheManualForbidsFault(uint msr, ulong value)
    {
        _board.Apics[0].TryWriteMsr(BaseMsr, Extended);
        Assert.False(_board.Apics[0].TryWriteMsr(msr, value));
    }

    [Fact]
    public void ExtendedLogicalDestinationsAreClusters()
    {
        TestBoard board = new(20);
        board.EnableApics();
        foreach (var apic in board.Apics)
        {
            apic.TryWriteMsr(BaseMsr, Extended);
        }

        Assert.True(board.Apics[17].TryReadMsr(0x80d, out ulong logical));
        Assert.Equal(0x0001_0002UL, logical);
        board.Apics[0].TryWriteMsr(0x830, (0x0001_0006UL << 32) | 0x0841);
        Assert.Equal([17, 18], Enumerable.Range(0, 20).Where(i => board.Acknowledge(i) == 0x41));
    }

    [Fact]
    public void InitKeepsExtendedMode()
    {
        _board.Apics[1].TryWriteMsr(BaseMsr, Extended);
        _board.Apics[1].TryWriteMsr(0x80f, 0x1ff);
        _board.Apic(0, 0x310, 0x0100_0000);
        _board.Apic(0, 0x300, 0x4500);
        Assert.Equal(1UL, Read(1, 0x802));
        Assert.Equal(0xffUL, Read(1, 0x80f));
        Assert.Equal(2UL, Read(1, 0x80d));
    }

    [Fact]
    public void ADisabledApicPassesThe8259Through()
    {
        _board.Apics[0].TryWriteMsr(BaseMsr, 0xfee0_0000);
        _board.InitializePics(0);
        _board.Router.SetLine(1, true);
        Assert.Equal((byte)0x31, _board.Acknowledge());
        Assert.Equal(ulong.MaxValue, _board.Apics[0].PageAddress);
    }

    [Fact]
    public void Lint0CanBeAFixedLevel()
    {
        _board.InitializePics(0);
        _board.Apic(0, 0x350, 0x8055);
        _board.Router.SetLine(1, true);
        Assert.Equal((byte)0x55, _board.Acknowledge());
        Assert.NotEqual(0u, _board.Apic(0, 0x350) & 0x4000);
        _board.Apic(0, 0xb0, 0);
        Assert.Equal((byte)0x55, _board.Acknowledge()); // The 8259 still asks.
    }

    private void TryBase(ulong value, bool expected)
    {
        Assert.True(_board.Apics[0].TryWriteMsr(BaseMsr, value) == expected, $"IA32_APIC_BASE := 0x{value:x}");
    }

    private ulong Read(int index, uint msr)
    {
        Assert.True(_board.Apics[index].TryReadMsr(msr, out ulong value));
        return value;
    }

    private void SelfSend(byte vector) => Send(0, 0x4_0000u | vector);

    private void Send(int index, uint command) => _board.Apic(index, 0x300, command);

    private int Taken(byte vector)
    {
        int taken = 0;
        for (int i = 0; i < _board.Apics.Length; i++)
        {
            taken |= _board.Acknowledge(i) == vector ? 1 << i : 0;
        }

        return taken;
    }

    private sealed class Flag : IEndOfInterruptFlag
    {
        public bool IsUp { get; set; }

        public bool TryRaise() => IsUp = true;

        public bool Lower()
        {
            bool was = IsUp;
            IsUp = false;
            return was;
        }
    }
}
