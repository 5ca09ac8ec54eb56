using Lamina.Chipset.Timers;

namespace Lamina.Chipset.Tests.Timers;

/// <summary>The 8254 and port 0x61.</summary>
public sealed class PitTests
{
    private readonly ManualClock _clock = new();
    private readonly RecordingLines _lines = new();
    private readonly TestBoard _board = new(1);
    private readonly Pit _pit;

    public PitTests()
    {
        _pit = new Pit("pit1", _clock, new CheckedLock(), _lines.Line(0));
        _pit.Map(_board.Ports); // Mapped last, so it answers instead of the board's own.
        _pit.Start();
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void PeriodicModesTickAtTheirRate(uint mode)
    {
        Program(0, mode, 11_932);
        _clock.Advance(50_000); // Past the edge of programming itself.
        int before = _lines.Edges(0);
        _clock.Advance(1_000_000_000);
        Assert.InRange(_lines.Edges(0) - before, 99, 101);
    }

    [Fact]
    public void AHostileCountIsBoundedAndMissedTicksAreDropped()
    {
        Program(0, 2, 2);
        int before = _lines.Edges(0);
        _clock.Advance(10_000_000);
        Assert.InRange(_lines.Edges(0) - before, 90, 101);
        before = _lines.Edges(0);
        _clock.AdvanceLate(1_000_000_000);
        Assert.Equal(1, _lines.Edges(0) - before);
    }

    [Fact]
    public void ModeZeroInterruptsOnceAtItsEnd()
    {
        Program(0, 0, 1193);
        Assert.False(_lines[0]);
        int before = _lines.Edges(0);
        _clock.Advance(990_000);
        Assert.Equal(before, _lines.Edges(0));
        _clock.Advance(20_000);
        Assert.Equal(before + 1, _lines.Edges(0));
        _clock.Advance(1_000_000_000);
        Assert.Equal(before + 1, _lines.Edges(0));
        Assert.True(_lines[0]);
    }

    [Fact]
    public void ModeFourStrobesOnceForEachCount()
    {
        Program(0, 4, 1193);
        int before = _lines.Edges(0);
        _clock.Advance(5_000_000);
        Assert.Equal(before + 1, _lines.Edges(0));
        WriteCount(0, 1193);
        _clock.Advance(5_000_000);
        Assert.Equal(before + 2, _lines.Edges(0));
    }

    [Fact]
    public void TheCountRunsDownAndLatches()
    {
        Program(2, 0, 0xffff);
        _board.Out(0x61, 1);
        Assert.Equal(0xffff, ReadCount(2));
        AdvanceTicks(1000);
        _board.Out(0x43, 0x80);
        AdvanceTicks(500);
        Assert.InRange(ReadCount(2), 0xffff - 1001, 0xffff - 999);
        Assert.InRange(ReadCount(2), 0xffff - 1502, 0xffff - 1498);
    }

    [Fact]
    public void DecimalCountsHaveFourDigits()
    {
        _board.Out(0x61, 1);
        _board.Out(0x43, 0xb1); // Mode 0, decimal.
        WriteCount(2, 0x1000);
        AdvanceTicks(1);
        Assert.InRange(ReadCount(2), 0x0998, 0x0999);
        AdvanceTicks(1001);
        Assert.InRange(ReadCount(2), 0x9996, 0x9999);
    }

    [Fact]
    public void ReadBackLatchesStatusBeforeCount()
    {
        _board.Out(0x43, 0xb6);
        _board.Out(0x43, 0xe8); // Status of counter 2.
        Assert.Equal(0xf6, _board.In(0x42)); // High, no count yet, both bytes, mode 3.
        WriteCount(2, 1000);
        _board.Out(0x61, 1);
        _board.Out(0x43, 0xc8); // Both.
        Assert.Equal(0xb6, _board.In(0x42));
        Assert.Equal(1000, ReadCount(2));
    }

    [Fact]
    public void TheGateHoldsModeZeroAndTriggersModeOne()
    {
        Program(2, 0, 10_000);
        AdvanceTicks(5_000);
        Assert.Equal(10_000, ReadCount(2));
        _board.Out(0x61, 1);
        AdvanceTicks(4_000);
        _board.Out(0x61, 0);
        AdvanceTicks(100_000);
        Assert.InRange(ReadCount(2), 5_999, 6_001);
        Assert.Equal(0, _board.In(0x61) & 0x20);
        _board.Out(0x61, 1);
        AdvanceTicks(6_010);
        Assert.Equal(0x20, _board.In(0x61) & 0x20);

        Program(2, 1, 1_000);
        Assert.Equal(0x20, _board.In(0x61) & 0x20);
        _board.Out(0x61, 0);
        _board.Out(0x61, 1);
        Assert.Equal(0, _board.In(0x61) & 0x20);
        AdvanceTicks(1_001);
        Assert.Equal(0x20, _board.In(0x61) & 0x20);
        _board.Out(0x61, 0);
        _board.Out(0x61, 1);
        Assert.Equal(0, _board.In(0x61) & 0x20);
    }

    [Fact]
    public void ANewCountOfAPeriodicModeWaitsForTheEndOfThePeriod()
    {
        _board.Out(0x61, 1);
        Program(2, 2, 1_000);
        AdvanceTicks(400);
        WriteCount(2, 5_000);
        Assert.InRange(ReadCount(2), 598, 601);
        AdvanceTicks(700);
        Assert.InRange(ReadCount(2), 4_896, 4_902);
    }

    [Fact]
    public void SquareWaveIsHighForHalfAndCountsByTwo()
    {
        _board.Out(0x61, 1);
        Program(2, 3, 1_000);
        AdvanceTicks(250);
        Assert.Equal(0x20, _board.In(0x61) & 0x20);
        Assert.InRange(ReadCount(2), 496, 502);
        AdvanceTicks(300);
        Assert.Equal(0, _board.In(0x61) & 0x20);
    }

    [Fact]
    public void OneByteAccessModes()
    {
        _board.Out(0x61, 1);
        _board.Out(0x43, 0xa0); // Mode 0, high byte only.
        _board.Out(0x42, 0x12);
        Assert.Equal(0x12, _board.In(0x42));
        _board.Out(0x43, 0x90); // Low byte only.
        _board.Out(0x42, 0x34);
        Assert.Equal(0x34, _board.In(0x42));
    }

    [Fact]
    public void TheRefreshBitToggles()
    {
        int toggles = 0;
        int last = _board.In(0x61) & 0x10;
        for (int i = 0; i < 1000; i++)
        {
            _clock.Advance(1_000);
            int now = _board.In(0x61) & 0x10;
            toggles += now != last ? 1 : 0;
            last = now;
        }

        Assert.InRange(toggles, 64, 68);
        _board.Out(0x61, 0xff);
        Assert.Equal(0x0f, _board.In(0x61) & 0xcf);
    }

    private void AdvanceTicks(ulong ticks) => _clock.Advance(((ticks * 1_000_000_000) + Pit.Frequency - 1) / Pit.Frequency);

    private void Program(int counter, uint mode, ushort count)
    {
        _board.Out(0x43, (uint)(counter << 6) | 0x30 | (mode << 1));
        WriteCount(counter, count);
    }

    private void WriteCount(int counter, ushort count)
    {
        _board.Out(0x40 + (ulong)counter, (uint)(count & 0xff));
        _board.Out(0x40 + (ulong)counter, (uint)(count >> 8));
    }

    private int ReadCount(int counter)
    {
        int low = _board.In(0x40 + (ulong)counter);
        return low | (_board.In(0x40 + (ulong)counter) << 8);
    }
}
