using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Tests.Interrupts;

/// <summary>The local APIC's timer. Its input is 1 GHz, the time-stamp counter runs at 2 GHz.</summary>
public sealed class ApicTimerTests
{
    private const uint TscDeadlineMsr = 0x6e0;
    private const byte Vector = 0xec;

    private readonly TestBoard _board = new(1);

    public ApicTimerTests()
    {
        _board.EnableApics();
        _board.Clock.Advance(1_000_000);
        _board.Apic(0, 0x3e0, 0xb); // Divide by 1.
    }

    [Fact]
    public void OneShotFiresOnceAndCountsDown()
    {
        _board.Apic(0, 0x320, Vector);
        _board.Apic(0, 0x380, 10_000);
        _board.Clock.Advance(4_000);
        Assert.Equal(6_000u, _board.Apic(0, 0x390));
        Assert.Null(_board.Acknowledge());
        _board.Clock.Advance(6_000);
        Assert.Equal(Vector, _board.Acknowledge());
        Assert.Equal(0u, _board.Apic(0, 0x390));
        _board.Apic(0, 0xb0, 0);
        _board.Clock.Advance(100_000);
        Assert.Null(_board.Acknowledge());
    }

    // The guest reads zero, and makes the timer a periodic one, before the event loop has come to it.
    [Fact]
    public void AOneShotThatHasRunDownStaysAtZeroInAnotherMode()
    {
        _board.Apic(0, 0x320, Vector);
        _board.Apic(0, 0x380, 1_000_000);
        _board.Clock.Pass(1_000_001);
        Assert.Equal(0u, _board.Apic(0, 0x390));
        _board.Apic(0, 0x320, 0x2_0000u | 0xed);
        Assert.Equal(0u, _board.Apic(0, 0x390));
        _board.Clock.Advance(3_000_000);
        Assert.Equal(Vector, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        Assert.Null(_board.Acknowledge());
    }

    [Theory]
    [InlineData(0x0u, 2)]
    [InlineData(0x1u, 4)]
    [InlineData(0x2u, 8)]
    [InlineData(0x3u, 16)]
    [InlineData(0x8u, 32)]
    [InlineData(0x9u, 64)]
    [InlineData(0xau, 128)]
    [InlineData(0xbu, 1)]
    public void TheDividerDivides(uint code, ulong divisor)
    {
        _board.Apic(0, 0x3e0, code);
        _board.Apic(0, 0x320, Vector);
        _board.Apic(0, 0x380, 1000);
        _board.Clock.Advance((1000 * divisor) - 1);
        Assert.Null(_board.Acknowledge());
        _board.Clock.Advance(1);
        Assert.Equal(Vector, _board.Acknowledge());
    }

    [Fact]
    public void PeriodicKeepsItsPhaseAndDropsWhatWasMissed()
    {
        _board.Apic(0, 0x320, 0x2_0000u | Vector);
        _board.Apic(0, 0x380, 1_000_000);
        for (int i = 0; i < 5; i++)
        {
            _board.Clock.Advance(1_000_000);
            Assert.Equal(Vector, _board.Acknowledge());
            _board.Apic(0, 0xb0, 0);
        }

        _board.Clock.AdvanceLate(7_300_000);
        Assert.Equal(Vector, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        Assert.Equal(700_000u, _board.Apic(0, 0x390));
        Assert.Null(_board.Acknowledge());
        _board.Clock.Advance(700_000);
        Assert.Equal(Vector, _board.Acknowledge());
    }

    // Whoever held it meanwhile read zero, in the moment between the end of a period and the beginning of the next.
    [Fact]
    public void APeriodicTimerThatComesBackAtZeroTicksOn()
    {
        _board.Apic(0, 0x320, 0x2_0000u | Vector);
        _board.Apic(0, 0x380, 1_000_000);
        ILocalApicRecord record = _board.Apics[0];
        LocalApicState state = new();
        record.HandOver(state);
        state.Registers[0x39] = 0;
        Assert.True(record.TakeBack(state));
        _board.Apics[0].OnHosted(null);
        for (int i = 0; i < 3; i++)
        {
            _board.Clock.Advance(1_000_000);
            Assert.Equal(Vector, _board.Acknowledge());
            _board.Apic(0, 0xb0, 0);
        }
    }

    [Fact]
    public void AHostilePeriodIsBounded()
    {
        _board.Apic(0, 0x320, 0x2_0000u | Vector);
        _board.Apic(0, 0x380, 1);
        int fired = 0;
        for (int i = 0; i < 1000; i++)
        {
            _board.Clock.Advance(10_000);
            if (_board.Acknowledge() is not null)
            {
                fired++;
                _board.Apic(0, 0xb0, 0);
            }
        }

        Assert.InRange(fired, 90, 101);
    }

    [Fact]
    public void TheDeadlineIsInTimeStampCounts()
    {
        _board.Apic(0, 0x320, 0x4_0000u | Vector);
        ulong deadline = (1_000_000 + 5_000) * 2;
        Assert.True(_board.Apics[0].TryWriteMsr(TscDeadlineMsr, deadline));
        Assert.True(_board.Apics[0].TryReadMsr(TscDeadlineMsr, out ulong read));
        Assert.Equal(deadline, read);
        _board.Clock.Advance(4_990);
        Assert.Null(_board.Acknowledge());
        _board.Clock.Advance(12);
        Assert.Equal(Vector, _board.Acknowledge());
        Assert.True(_board.Clock.Now * 2 >= deadline, "The handler must not see a time-stamp counter before its deadline.");
        _board.Apics[0].TryReadMsr(TscDeadlineMsr, out read);
        Assert.Equal(0UL, read);
    }

    [Fact]
    public void APastDeadlineFiresAtOnceAndZeroDisarms()
    {
        _board.Apic(0, 0x320, 0x4_0000u | Vector);
        _board.Apics[0].TryWriteMsr(TscDeadlineMsr, 5);
        Assert.Equal(Vector, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        _board.Apics[0].TryWriteMsr(TscDeadlineMsr, 3_000_000);
        _board.Apics[0].TryWriteMsr(TscDeadlineMsr, 0);
        _board.Clock.Advance(10_000_000);
        Assert.Null(_board.Acknowledge());
        _board.Apics[0].TryWriteMsr(TscDeadlineMsr, ulong.MaxValue);
        _board.Clock.Advance(1_000_000_000_000);
        Assert.Null(_board.Acknowledge());
    }

    [Fact]
    public void ChangingToOrFromDeadlineModeDisarms()
    {
        _board.Apic(0, 0x320, Vector);
        _board.Apic(0, 0x380, 10_000);
        _board.Apic(0, 0x320, 0x4_0000u | Vector);
        _board.Clock.Advance(20_000);
        Assert.Null(_board.Acknowledge());
        _board.Apic(0, 0x380, 10_000);
        Assert.Equal(0u, _board.Apic(0, 0x390));
    }

    [Fact]
    public void AMaskedTimerCountsButIsSilent()
    {
        _board.Apic(0, 0x320, 0x1_0000u | Vector);
        _board.Apic(0, 0x380, 10_000);
        _board.Clock.Advance(10_000);
        Assert.Equal(0u, _board.Apic(0, 0x390));
        Assert.Null(_board.Acknowledge());
    }

    [Fact]
    public void TimerWritesAndInterruptsAllocateNothing()
    {
        _board.Apic(0, 0x320, 0x4_0000u | Vector);
        long before = 0;
        for (int i = 0; i < 200; i++)
        {
            if (i == 100)
            {
                before = GC.GetAllocatedBytesForCurrentThread();
            }

            _board.Apics[0].TryWriteMsr(TscDeadlineMsr, 1);
            _board.Apics[0].TryAcknowledge(out _);
            _board.Apic(0, 0xb0, 0);
            _board.Apic(0, 0x300, 0x4_0041);
            _board.Apics[0].TryAcknowledge(out _);
            _board.Apic(0, 0xb0, 0);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
