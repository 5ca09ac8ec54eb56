using Lamina.Machine.Input;

namespace Lamina.Chipset.Tests.Keyboard;

/// <summary>The i8042 with its keyboard and mouse, as drivers probe them.</summary>
public sealed class KeyboardControllerTests
{
    private readonly TestBoard _board = new(1);

    [Fact]
    public void TheControllerTestsItself()
    {
        Assert.Equal(0x14, _board.In(0x64) & 0x35);
        Assert.Equal([0x55], Command(0xaa));
        Assert.Equal([0x00], Command(0xab));
        Assert.Equal([0x00], Command(0xa9));
        Assert.Equal(0x08, _board.In(0x64) & 0x08);
    }

    [Fact]
    public void TheCommandByteIsMemory()
    {
        Assert.Equal([0x65], Command(0x20));
        _board.Out(0x64, 0x60);
        _board.Out(0x60, 0x47);
        Assert.Equal([0x47], Command(0x20));
        _board.Out(0x64, 0xad);
        _board.Out(0x64, 0xa7);
        Assert.Equal([0x77], Command(0x20));
        _board.Out(0x64, 0xae);
        _board.Out(0x64, 0xa8);
        Assert.Equal([0x47], Command(0x20));
    }

    [Fact]
    public void TheKeyboardAnswersWhatDriversAsk()
    {
        _board.Out(0x64, 0x60);
        _board.Out(0x60, 0x24); // No interrupts, not translated.
        Assert.Equal([0xfa, 0xaa], Keyboard(0xff));
        Assert.Equal([0xfa, 0xab, 0x83], Keyboard(0xf2));
        Assert.Equal([0xfa], Keyboard(0xed));
        Assert.Equal([0xfa], Keyboard(0x07));
        Assert.Equal([0xfa], Keyboard(0xf0));
        Assert.Equal([0xfa], Keyboard(0x03));
        Assert.Equal([0xfa], Keyboard(0xf0));
        Assert.Equal([0xfa, 0x03], Keyboard(0x00));
        Assert.Equal([0xee], Keyboard(0xee));
        Assert.Equal([0xfe], Keyboard(0x55));
        Assert.Equal([0xfa], Keyboard(0xf4));
    }

    [Fact]
    public void TranslationChangesTheIdentifier()
    {
        Assert.Equal([0xfa, 0xab, 0x41], Keyboard(0xf2));
    }

    [Fact]
    public void EachByteIsAnEdgeOfItsInterrupt()
    {
        _board.EnableApics();
        _board.Redirect(1, 0x31);
        _board.Out(0x60, 0xf2);
        foreach (byte expected in new byte[] { 0xfa, 0xab, 0x41 })
        {
            Assert.Equal((byte)0x31, _board.Acknowledge());
            _board.Apic(0, 0xb0, 0);
            Assert.Equal(expected, _board.In(0x60));
        }

        Assert.Null(_board.Acknowledge());
    }

    [Fact]
    public void TheAuxiliaryPortLoopsAndCarriesTheMouse()
    {
        _board.Out(0x64, 0x60);
        _board.Out(0x60, 0x47);
        _board.EnableApics();
        _board.Redirect(12, 0x3c);
        _board.Out(0x64, 0xd3);
        _board.Out(0x60, 0x5a);
        Assert.Equal(0x21, _board.In(0x64) & 0x21);
        Assert.Equal((byte)0x3c, _board.Acknowledge());
        Assert.Equal(0x5a, _board.In(0x60));
        Assert.Equal([0xfa, 0xaa, 0x00], Mouse(0xff));
        Assert.Equal([0xfa, 0x00], Mouse(0xf2));
        Assert.Equal([0xfa], Mouse(0xe8));
        Assert.Equal([0xfa], Mouse(0x03));
        Assert.Equal([0xfa], Mouse(0xf4));
        Assert.Equal([0xfa, 0x20, 0x03, 100], Mouse(0xe9));
        Assert.Equal([0xfe], Mouse(0x33));
    }

    [Fact]
    public void TheOutputPortHoldsA20AndResets()
    {
        Assert.Equal([0x03], Command(0xd0));
        _board.Out(0x64, 0xd1);
        _board.Out(0x60, 0x01);
        Assert.Equal([0x01], Command(0xd0));
        _board.Out(0x64, 0xd1);
        _board.Out(0x60, 0x02);
        Assert.Equal(1, _board.Events.Resets);
        _board.Out(0x64, 0xff); // Pulses nothing.
        Assert.Equal(1, _board.Events.Resets);
    }

    [Fact]
    public void KeysComeInTheSetThatTheDriverHasChosen()
    {
        // Enter, and the right Ctrl key, down and up; translated, as the keyboard is left.
        Assert.Equal([0x1c, 0x9c, 0xe0, 0x1d, 0xe0, 0x9d], Type(0x1c, 0xe01d));
        _board.Out(0x64, 0x60);
        _board.Out(0x60, 0x25);
        Assert.Equal([0x5a, 0xf0, 0x5a, 0xe0, 0x14, 0xe0, 0xf0, 0x14], Type(0x1c, 0xe01d));
        Assert.Equal([0xfa], Keyboard(0xf0));
        Assert.Equal([0xfa], Keyboard(0x01));
        Assert.Equal([0x1c, 0x9c, 0xe0, 0x1d, 0xe0, 0x9d], Type(0x1c, 0xe01d));
    }

    [Fact]
    public void EachKeyIsTheSameBothWaysOfTheTranslation()
    {
        for (ushort code = 1; code < 0x80; code++)
        {
            Assert.Equal([(byte)code, (byte)(code | 0x80)], Type(code));
        }
    }

    [Fact]
    public void KeysThatAreNotTakenOrCannotBeAreRefused()
    {
        int sent = 0;
        while (_board.Keyboard.TrySend(new KeyStroke(0xe01d, IsReleased: true)))
        {
            Assert.True(++sent < 16, "The queue never fills.");
        }

        Assert.Equal(sent * 2, Drain(0x01).Length);
        foreach (ushort code in new ushort[] { 0, 0x80, 0xe000, 0xe080, 0x6001, 0x101, 0xe11d })
        {
            Assert.False(_board.Keyboard.TrySend(new KeyStroke(code, IsReleased: false)), $"{code:x}");
        }

        // Not while the driver wants none, or has chosen the set 3.
        Assert.Equal([0xfa], Keyboard(0xf5));
        Assert.False(_board.Keyboard.IsListening);
        Assert.False(_board.Keyboard.TrySend(new KeyStroke(1, IsReleased: false)));
        Assert.Equal([0xfa], Keyboard(0xf4));
        Assert.True(_board.Keyboard.IsListening);
        Assert.Equal([0xfa], Keyboard(0xf0));
        Assert.Equal([0xfa], Keyboard(0x03));
        Assert.False(_board.Keyboard.IsListening);
        _board.Keyboard.Reset();
        Assert.True(_board.Keyboard.IsListening);
        _board.Out(0x64, 0xad);
        Assert.False(_board.Keyboard.IsListening);
    }

    private byte[] Type(params ushort[] codes)
    {
        List<byte> bytes = [];
        foreach (ushort code in codes)
        {
            Assert.True(_board.Keyboard.TrySend(new KeyStroke(code, IsReleased: false)));
            Assert.True(_board.Keyboard.TrySend(new KeyStroke(code, IsReleased: true)));
            bytes.AddRange(Drain(0x01));
        }

        return [.. bytes];
    }

    private byte[] Command(byte command)
    {
        _board.Out(0x64, command);
        return Drain(0x01);
    }

    private byte[] Keyboard(byte value)
    {
        _board.Out(0x60, value);
        return Drain(0x01);
    }

    private byte[] Mouse(byte value)
    {
        _board.Out(0x64, 0xd4);
        _board.Out(0x60, value);
        return Drain(0x21);
    }

    private byte[] Drain(int status)
    {
        List<byte> bytes = [];
        while ((_board.In(0x64) & 0x01) != 0)
        {
            Assert.Equal(status, _board.In(0x64) & 0x21);
            bytes.Add(_board.In(0x60));
            Assert.True(bytes.Count <= 16, "The controller never runs dry.");
        }

        return [.. bytes];
    }
}
