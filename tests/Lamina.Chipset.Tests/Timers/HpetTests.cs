namespace Lamina.Chipset.Tests.Timers;

/// <summary>The HPET, through the board's interrupt controllers.</summary>
public sealed class HpetTests
{
    private const ulong Base = 0xfed0_0000;
    private const ulong Configuration = Base + 0x10;
    private const ulong Status = Base + 0x20;
    private const ulong Counter = Base + 0xf0;
    private const ulong Timer0 = Base + 0x100;
    private const ulong Timer1 = Base + 0x120;
    private const ulong Timer2 = Base + 0x140;
    private const byte Vector = 0x52;

    private readonly TestBoard _board = new(1);

    public HpetTests() => _board.EnableApics();

    [Fact]
    public void CapabilitiesTellTheTruth()
    {
        ulong capabilities = _board.Load(Base, 8);
        Assert.Equal(10_000_000UL, capabilities >> 32);
        Assert.Equal(0x8086_a201UL, capabilities & uint.MaxValue);
        _board.Store(Base, 0, 8);
        Assert.Equal(capabilities, _board.Load(Base, 8));
        Assert.Equal(0x30UL, _board.Load(Timer2, 8) & 0x8030); // Periodic, 64 bits, no FSB.
    }

    [Fact]
    public void TheCounterRunsOnlyWhileEnabledAndCanBeSet()
    {
        _board.Store(Counter, 5_000, 8);
        _board.Clock.Advance(1_000);
        Assert.Equal(5_000UL, _board.Load(Counter, 8));
        _board.Store(Configuration, 1);
        _board.Clock.Advance(1_000);
        Assert.Equal(5_100UL, _board.Load(Counter, 8));
        _board.Store(Configuration, 0);
        _board.Clock.Advance(1_000);
        Assert.Equal(5_100UL, _board.Load(Counter, 8));
        _board.Store(Counter + 4, 7);
        Assert.Equal((7UL << 32) + 5_100, _board.Load(Counter, 8));
        Assert.Equal(7UL, _board.Load(Counter + 4));
    }

    [Fact]
    public void LegacyReplacementTakesTheTimerLines()
    {
        _board.Redirect(2, Vector);
        _board.Redirect(8, Vector + 0x10);
        _board.Store(Timer0, 0x04);
        _board.Store(Timer0 + 8, 1_000, 8);
        _board.Store(Timer1, 0x04);
        _board.Store(Timer1 + 8, 2_000, 8);
        _board.Store(Configuration, 3);
        _board.Router.SetLine(0, true); // The 8254 is cut off.
        Assert.Null(_board.Acknowledge());
        _board.Clock.Advance(10_000);
        Assert.Equal(Vector, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        _board.Clock.Advance(10_000);
        Assert.Equal((byte)(Vector + 0x10), _board.Acknowledge());
    }

    [Fact]
    public void PeriodicFollowsAccumulatorAndPeriod()
    {
        _board.Redirect(2, Vector);
        _board.Store(Configuration, 3);
        _board.Store(Timer0, 0x14c); // Enabled, periodic, set the accumulator, 32 bits.
        _board.Store(Timer0 + 8, 200_000);
        _board.Store(Timer0 + 8, 100_000); // 1 ms.
        _board.Clock.Advance(1_990_000);
        Assert.Null(_board.Acknowledge());
        int fired = 0;
        for (int i = 0; i < 20; i++)
        {
            _board.Clock.Advance(500_000);
            if (_board.Acknowledge() == Vector)
            {
                fired++;
                _board.Apic(0, 0xb0, 0);
            }
        }

        Assert.Equal(10, fired);
        _board.Clock.AdvanceLate(50_000_000);
        Assert.Equal(Vector, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        Assert.Null(_board.Acknowledge());
        Assert.InRange(_board.Load(Timer0 + 8) - (_board.Load(Counter) & uint.MaxValue), 1UL, 100_000UL);
    }

    [Fact]
    public void AHostilePeriodIsBounded()
    {
        _board.Redirect(2, Vector);
        _board.Store(Configuration, 3);
        _board.Store(Timer0, 0x4c);
        _board.Store(Timer0 + 8, 1, 8);
        int fired = 0;
        for (int i = 0; i < 1000; i++)
        {
            _board.Clock.Advance(10_000);
            if (_board.Acknowledge() == Vector)
            {
                fired++;
                _board.Apic(0, 0xb0, 0);
            }
        }

        Assert.InRange(fired, 90, 101);
    }

    [Fact]
    public void OneShotFiresOnceAndIn32BitModeAgainAfterAWholeTurn()
    {
        _board.Redirect(2, Vector);
        _board.Store(Configuration, 3);
        _board.Store(Timer0, 0x104);
        _board.Store(Timer0 + 8, 1_000);
        _board.Clock.Advance(10_000);
        Assert.Equal(Vector, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        _board.Clock.Advance(42_000_000_000);
        Assert.Null(_board.Acknowledge());
        _board.Clock.Advance(1_000_000_000);
        Assert.Equal(Vector, _board.Acknowledge());
    }

    [Fact]
    public void ALevelStaysUntilItsStatusIsCleared()
    {
        _board.Redirect(11, Vector | 0x8000);
        _board.Store(Configuration, 1);
        _board.Store(Timer2, 0x06 | (11 << 9));
        _board.Store(Timer2 + 8, 1_000, 8);
        _board.Clock.Advance(10_000);
        Assert.Equal(4UL, _board.Load(Status));
        Assert.Equal(Vector, _board.Acknowledge());
        _board.Apic(0, 0xb0, 0);
        Assert.Equal(Vector, _board.Acknowledge());
        _board.Store(Status, 4);
        _board.Apic(0, 0xb0, 0);
        Assert.Null(_board.Acknowledge());
    }

    [Fact]
    public void ALateHostDoesNotLoseAMatchToARegisterWrite()
    {
        _board.Redirect(2, Vector);
        _board.Store(Configuration, 3);
        _board.Store(Timer0, 0x104);
        _board.Store(Timer0 + 8, 1_000);
        TestBoard late = _board;
        late.Hpet.Stop();
        late.Clock.Advance(11_000);
        late.Hpet.Start();
        late.Store(Timer0 + 8, 5_000);
        late.Clock.Advance(100_000);
        Assert.Equal(Vector, _board.Acknowledge());
    }

    [Fact]
    public void OddAccessesAreRefused()
    {
        Assert.Equal(0xffUL, _board.Load(Base, 1));
        Assert.Equal(0xffffUL, _board.Load(Base + 2, 2));
        Assert.Equal(ulong.MaxValue, _board.Load(Base + 4, 8));
    }
}
