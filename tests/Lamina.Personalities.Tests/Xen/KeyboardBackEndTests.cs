using Lamina.Machine.Input;
using Lamina.Personalities.Xen.Screen;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>A keyboard and a pointer as Linux's front end has them, good and hostile.</summary>
public sealed class KeyboardBackEndTests : IDisposable
{
    private const string Front = "/local/domain/1/device/vkbd/0";
    private const string Back = "/local/domain/0/backend/vkbd/1/0";
    private const ulong Page = 0x30_0000;
    private readonly StoreClient _guest;
    private KeyboardBackEnd _keyboard = null!;
    private uint _consumed;

    public KeyboardBackEndTests() => _guest = new StoreClient((bus, _) => _keyboard = new KeyboardBackEnd(bus, StoreClient.NewLock(), 800, 600));

    private bool IsListening => ((IKeyboard)_keyboard).IsListening;

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void KeysHaveTheNumbersThatLinuxGivesThem()
    {
        Assert.False(_keyboard.TrySend(new KeyStroke(1, IsReleased: false)));
        Connect();
        Assert.True(IsListening);
        foreach ((ushort code, uint number) in new (ushort, uint)[] { (1, 1), (0x1e, 30), (0x58, 88), (0xe01c, 96), (0xe048, 103), (0xe04d, 106), (0xe053, 111), (0xe05d, 127) })
        {
            Assert.True(_keyboard.TrySend(new KeyStroke(code, IsReleased: false)));
            Assert.True(_keyboard.TrySend(new KeyStroke(code, IsReleased: true)));
            Assert.Equal((3, 1, number), Key());
            Assert.Equal((3, 0, number), Key());
        }

        Assert.False(_keyboard.TrySend(new KeyStroke(0x59, IsReleased: false)));
        Assert.False(_keyboard.TrySend(new KeyStroke(0xe001, IsReleased: false)));
        Assert.Equal("OK\0", _guest.Write($"{Front}/state", "6"));
        Assert.False(IsListening);
    }

    [Fact]
    public void APointerIsWhereItIsSaidToBe()
    {
        Connect();
        Assert.True(((IPointer)_keyboard).IsListening);
        Assert.True(_keyboard.TrySend(new PointerState(PointerState.Maximum, 0, 0)));
        Assert.Equal((4, 799u, 0u), Position());
        Assert.True(_keyboard.TrySend(new PointerState(0, 40000, 5)));
        Assert.Equal((4, 0u, 599u), Position());
        Assert.Equal((3, 1, 0x110u), Key());
        Assert.Equal((3, 1, 0x112u), Key());
        _guest.GoOn();
        Assert.True(_keyboard.TrySend(new PointerState(0, 0, 4)));
        Assert.Equal((4, 0u, 0u), Position());
        Assert.Equal((3, 0, 0x110u), Key());
        _guest.RefusesWhatCannotBe("kbdback0");
    }

    [Fact]
    public void AGuestThatReadsNothingHasNoRoomAndOneThatReadsTooMuchEndsIt()
    {
        Connect();
        int sent = 0;
        while (_keyboard.TrySend(new KeyStroke(2, IsReleased: false)))
        {
            Assert.True(++sent < 100, "The ring never fills.");
        }

        Assert.Equal(51, sent);
        _guest.Memory.TryWrite(Page, 3u);
        Assert.False(_keyboard.TrySend(new PointerState(0, 0, 0)), "Its buttons may have no room.");
        Assert.True(_keyboard.TrySend(new KeyStroke(2, IsReleased: false)));
        _guest.Memory.TryWrite(Page, 53u);
        Assert.False(_keyboard.TrySend(new KeyStroke(2, IsReleased: false)));
        Assert.Equal("5", _guest.Read($"{Back}/state"));
        Assert.False(IsListening);
    }

    [Theory]
    [InlineData("page-gref", "99")]
    [InlineData("page-gref", "")]
    [InlineData("event-channel", "999")]
    public void AFrontEndThatCannotBeServedIsRefused(string name, string value)
    {
        Connect((name, value));
        Assert.Equal("5", _guest.Read($"{Back}/state"));
        Assert.False(IsListening);
    }

    [Fact]
    public void AGrantThatIsTakenBackTakesNoMore()
    {
        Connect();
        _guest.Grant(9, Page, flags: 0);
        Assert.False(_keyboard.TrySend(new KeyStroke(2, IsReleased: false)));
    }

    private void Connect(params (string Name, string Value)[] others)
    {
        _guest.Grant(9, Page);
        uint port = _guest.AllocatePort();
        foreach ((string name, string value) in new[] { ("page-gref", "9"), ("event-channel", $"{port}"), ("request-abs-pointer", "1") }.Concat(others).Append(("state", "3")))
        {
            Assert.Equal("OK\0", _guest.Write($"{Front}/{name}", value));
        }
    }

    private (byte Type, byte IsPressed, uint Code) Key()
    {
        ulong at = Next();
        _guest.Memory.TryRead(at, out byte type);
        _guest.Memory.TryRead(at + 1, out byte pressed);
        _guest.Memory.TryRead(at + 4, out uint code);
        return (type, pressed, code);
    }

    private (byte Type, uint X, uint Y) Position()
    {
        ulong at = Next();
        _guest.Memory.TryRead(at, out byte type);
        _guest.Memory.TryRead(at + 4, out uint x);
        _guest.Memory.TryRead(at + 8, out uint y);
        return (type, x, y);
    }

    private ulong Next()
    {
        _guest.Memory.TryRead(Page + 4, out uint produced);
        Assert.NotEqual(_consumed, produced);
        ulong at = Page + 1024 + (_consumed++ % 51 * 40);
        _guest.Memory.TryWrite(Page, _consumed);
        return at;
    }
}
