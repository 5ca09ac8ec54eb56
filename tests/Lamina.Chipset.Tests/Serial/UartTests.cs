using Lamina.Machine.Backends;

namespace Lamina.Chipset.Tests.Serial;

/// <summary>The 16550A, as drivers use and probe it.</summary>
public sealed class UartTests : ICharacterInputReady
{
    private const ushort Data = 0x3f8;
    private const ushort InterruptEnable = 0x3f9;
    private const ushort Identification = 0x3fa;
    private const ushort FifoControl = 0x3fa;
    private const ushort LineControl = 0x3fb;
    private const ushort ModemControl = 0x3fc;
    private const ushort LineStatus = 0x3fd;
    private const ushort ModemStatus = 0x3fe;
    private const ushort Scratch = 0x3ff;

    private readonly TestBoard _board = new(1);
    private readonly RecordingLines _lines = new();
    private int _ready;

    void ICharacterInputReady.OnInputReady() => _ready++;

    [Fact]
    public void BytesGoOutAtOnceAndTheTransmitterIsAlwaysEmpty()
    {
        foreach (byte value in "hello"u8)
        {
            Assert.Equal(0x60, _board.In(LineStatus));
            _board.Out(Data, value);
        }

        Assert.Equal("hello"u8.ToArray(), _board.Output.Bytes);
    }

    [Fact]
    public void TheDivisorHidesDataAndEnable()
    {
        _board.Out(LineControl, 0x83);
        _board.Out(Data, 0x01);
        _board.Out(InterruptEnable, 0x02);
        Assert.Equal((0x01, 0x02), (_board.In(Data), _board.In(InterruptEnable)));
        _board.Out(LineControl, 0x03);
        Assert.Equal(0, _board.In(InterruptEnable));
        Assert.Empty(_board.Output.Bytes);
    }

    [Fact]
    public void ItIsA16550AToAProbe()
    {
        _board.Out(InterruptEnable, 0xff);
        Assert.Equal(0x0f, _board.In(InterruptEnable));
        _board.Out(InterruptEnable, 0);
        _board.Out(Scratch, 0xa5);
        Assert.Equal(0xa5, _board.In(Scratch));
        Assert.Equal(0x01, _board.In(Identification));
        _board.Out(FifoControl, 0x01);
        Assert.Equal(0xc1, _board.In(Identification));
        _board.Out(LineControl, 0xbf);
        Assert.NotEqual(0, _board.In(Identification)); // Not an enhanced feature register.
        _board.Out(LineControl, 0x80);
        _board.Out(FifoControl, 0x21);
        Assert.Equal(0xc1, _board.In(Identification)); // No 64-byte FIFO.
        _board.Out(LineControl, 0x00);
        _board.Out(ModemControl, 0x1a);
        Assert.Equal(0x90, _board.In(ModemStatus) & 0xf0);
        _board.Out(ModemControl, 0xff);
        Assert.Equal(0x1f, _board.In(ModemControl));
    }

    [Fact]
    public void EnablingTheTransmitterInterruptRaisesItEveryTime()
    {
        for (int i = 0; i < 3; i++)
        {
            _board.Out(InterruptEnable, 0x02);
            Assert.Equal(0x02, _board.In(Identification));
            Assert.Equal(0x01, _board.In(Identification)); // Reading it took it back.
            _board.Out(InterruptEnable, 0x00);
        }
    }

    [Fact]
    public void EveryByteSentIsANewEdge()
    {
        Chipset.Serial.Uart uart = new("uart1", _board.Clock, new CheckedLock(), _lines.Line(3), _board.Output);
        uart.Map(_board.Ports, 0x2f8);
        _board.Out(0x2f9, 0x02);
        Assert.Equal(1, _lines.Edges(3));
        _board.Out(0x2f8, 0x41);
        _board.Out(0x2f8, 0x42);
        Assert.Equal(3, _lines.Edges(3));
        Assert.Equal(0x02, _board.In(0x2fa));
        Assert.False(_lines[3]);
    }

    [Fact]
    public void ReceivedBytesInterruptAtTheTriggerLevelAndTimeOutBelowIt()
    {
        Open(trigger: 0x81); // 8 bytes.
        _board.Uart.Receive(new byte[7]);
        Assert.Equal(0xc1, _board.In(Identification));
        _board.Uart.Receive(new byte[1]);
        Assert.Equal(0xc4, _board.In(Identification));
        _board.In(Data);
        Assert.Equal(0xc1, _board.In(Identification));
        _board.Clock.Advance(50_000_000);
        Assert.Equal(0xcc, _board.In(Identification));
        _board.In(Data);
        Assert.Equal(0xc1, _board.In(Identification));
        _board.Clock.Advance(50_000_000);
        Assert.Equal(0xcc, _board.In(Identification));
        for (int i = 0; i < 6; i++)
        {
            Assert.Equal(0x61, _board.In(LineStatus));
            _board.In(Data);
        }

        Assert.Equal(0x60, _board.In(LineStatus));
        _board.Clock.Advance(50_000_000);
        Assert.Equal(0xc1, _board.In(Identification));
    }

    [Fact]
    public void InputComesInOrderAndWaitsForRoom()
    {
        Open(trigger: 0x01);
        _board.Uart.SetReadyTarget(this);
        byte[] text = [.. Enumerable.Range(0, 20).Select(i => (byte)i)];
        Assert.Equal(16, _board.Uart.Receive(text));
        Assert.Equal(0, _board.Uart.Receive(text.AsSpan(16)));
        Assert.Equal(0, _board.In(LineStatus) & 0x02); // Nothing overran.
        for (int i = 0; i < 16; i++)
        {
            Assert.Equal(0, _ready);
            Assert.Equal(i, _board.In(Data));
        }

        Assert.Equal(1, _ready);
        Assert.Equal(4, _board.Uart.Receive(text.AsSpan(16)));
        Assert.Equal(16, _board.In(Data));
        Assert.Equal(1, _ready);
    }

    [Fact]
    public void InputWaitsUntilTheGuestAsksForIt()
    {
        _board.Uart.SetReadyTarget(this);
        Assert.Equal(0, _board.Uart.Receive("x"u8));
        _board.Out(FifoControl, 0x07);
        Assert.Equal(0, _ready);
        _board.Out(ModemControl, 0x03);
        Assert.Equal(1, _ready);
        Assert.Equal(1, _board.Uart.Receive("x"u8));
        Assert.Equal('x', (char)_board.In(Data));
    }

    [Fact]
    public void WithoutFifoOneByteIsHeld()
    {
        _board.Out(ModemControl, 0x02);
        _board.Out(InterruptEnable, 0x01);
        Assert.Equal(1, _board.Uart.Receive("ab"u8));
        Assert.Equal(0x04, _board.In(Identification));
        Assert.Equal('a', (char)_board.In(Data));
        Assert.Equal(0x01, _board.In(Identification));
    }

    [Fact]
    public void LoopbackReceivesWhatIsSentAndOverruns()
    {
        _board.Out(FifoControl, 0x07);
        _board.Out(InterruptEnable, 0x05);
        _board.Out(ModemControl, 0x10);
        for (int i = 0; i < 17; i++)
        {
            _board.Out(Data, (uint)i);
        }

        Assert.Empty(_board.Output.Bytes);
        Assert.Equal(0xc6, _board.In(Identification)); // Line status comes first.
        Assert.Equal(0x63, _board.In(LineStatus));
        Assert.Equal(0xc4, _board.In(Identification));
        Assert.Equal(0, _board.In(Data));
        _board.Out(FifoControl, 0x03);
        Assert.Equal(0x60, _board.In(LineStatus));
    }

    [Fact]
    public void ModemLinesReportTheirChanges()
    {
        Assert.Equal(0xb0, _board.In(ModemStatus));
        _board.Out(InterruptEnable, 0x08);
        _board.Out(ModemControl, 0x14); // Loopback with RI only.
        Assert.Equal(0x00, _board.In(Identification));
        Assert.Equal(0x4b, _board.In(ModemStatus));
        Assert.Equal(0x01, _board.In(Identification));
        _board.Out(ModemControl, 0x10);
        Assert.Equal(0x04, _board.In(ModemStatus)); // RI fell.
    }

    private void Open(uint trigger)
    {
        _board.Out(FifoControl, trigger | 0x06);
        _board.Out(FifoControl, trigger);
        _board.Out(ModemControl, 0x0b);
        _board.Out(InterruptEnable, 0x01);
    }
}
