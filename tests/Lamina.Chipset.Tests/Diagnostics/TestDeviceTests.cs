namespace Lamina.Chipset.Tests.Diagnostics;

/// <summary>The devices for test programs, as QEMU's pc-testdev and fw_cfg behave.</summary>
public sealed class TestDeviceTests
{
    private readonly TestBoard _board = new();

    [Theory]
    [InlineData(0xe0)]
    [InlineData(0xe8)]
    public void ALatchKeepsWhatIsWrittenAtAnyWidth(uint port)
    {
        _board.Out(port, 0x1234_5678, 4);
        Assert.Equal((0x78u, 0x5678u, 0x1234_5678u), (_board.In(port, 1), _board.In(port, 2), _board.In(port, 4)));
        _board.Out(port, 0xbeef, 2);
        Assert.Equal(0x1234_beefu, _board.In(port, 4));
        _board.Out(port + 3, 0xaa);
        Assert.Equal(0xaa34_beefu, _board.In(port, 4));
        Assert.Equal(0xffff_ffffu, _board.In(port + 1, 4));
    }

    [Fact]
    public void MemoryKeepsWhatIsWrittenToItsEnd()
    {
        _board.Store(0xff00_0000, 0x0102_0304);
        _board.Store(0xff00_fffc, 0x0506_0708);
        Assert.Equal((0x0102_0304UL, 0x0506_0708UL), (_board.Load(0xff00_0000), _board.Load(0xff00_fffc)));
        Assert.Equal(0x03UL, _board.Load(0xff00_0001, 1));
        Assert.Equal(0xffff_ffffUL, _board.Load(0xff00_fffe));
    }

    [Fact]
    public void ThePortsFrom0x2000DriveTheInterruptLines()
    {
        // I/O APIC pin 14: vector 0x77, edge, physical, to processor 0.
        _board.Store(0xfec0_0000, 0x10 + (2 * 14));
        _board.Store(0xfec0_0010, 0x77);
        _board.Apics[0].WritePage(0xf0, [0xff, 1, 0, 0]);
        _board.Out(0x200e, 0);
        Assert.False(_board.Apics[0].HasInterrupt);
        _board.Out(0x200e, 1);
        Assert.True(_board.Apics[0].TryAcknowledge(out byte vector));
        Assert.Equal(0x77, vector);
        _board.Out(0x200e, 1);
        Assert.False(_board.Apics[0].HasInterrupt);
    }

    [Fact]
    public void TheFirmwareConfigurationCountsProcessorsAndMemory()
    {
        Assert.Equal(2u, Get(5, 2));
        Assert.Equal(2u, Get(15, 2));
        Assert.Equal(1u << 30, Get(3, 4));
        Assert.Equal(0x554d_4551u, Get(0, 4));
        Assert.Equal(0u, Get(0x1234, 4));

        uint Get(uint entry, int length)
        {
            _board.Out(0x510, entry, 2);
            uint value = 0;
            for (int i = 0; i < length; i++)
            {
                value |= (uint)_board.In(0x511) << (8 * i);
            }

            return value;
        }
    }
}
