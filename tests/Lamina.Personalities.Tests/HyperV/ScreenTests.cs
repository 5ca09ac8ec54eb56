using Lamina.Machine.Display;
using Lamina.Machine.Input;
using Lamina.Personalities.HyperV.Input;
using Lamina.Personalities.HyperV.Video;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>Hyper-V's keyboard, mouse and screen, each as Linux's driver speaks to it.</summary>
public sealed class ScreenTests : IDisposable
{
    private const uint Version35 = 0x5_0003;
    private const ulong Frame = VmBusGuest.Free;
    private readonly VmBusGuest _guest = new();
    private SyntheticKeyboard? _keyboard;
    private SyntheticPointer? _pointer;
    private SyntheticVideo? _video;

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void A_keyboard_agrees_on_its_version_and_types()
    {
        Open(AddKeyboard, "f912ad6d-2b17-48ea-bd65-f927a61c7684");
        Assert.False(_keyboard!.TrySend(new KeyStroke(0x1e, IsReleased: false)));
        Tell(Words(1, 0x2_0000));
        Assert.Equal(0u, Answer(2).Word(4));
        Assert.False(_keyboard.IsListening);
        Tell(Words(1, 0x1_0000));
        Assert.Equal(1u, Answer(2).Word(4));
        Assert.True(_keyboard.IsListening);
        Assert.True(_keyboard.TrySend(new KeyStroke(0x1e, IsReleased: false)));
        Assert.True(_keyboard.TrySend(new KeyStroke(0xe053, IsReleased: true)));
        Assert.Equal((0x1eu, 0u), Stroke());
        Assert.Equal((0x53u, 6u), Stroke());
        Assert.False(_keyboard.TrySend(new KeyStroke(0xe11d, IsReleased: false)));

        // One that does not read loses what comes later, and knows.
        _guest.LeavesPackets = true;
        int sent = 0;
        while (_keyboard.TrySend(new KeyStroke(2, IsReleased: false)))
        {
            Assert.True(++sent < 1000, "The ring never fills.");
        }

        _guest.GoOn(AddKeyboard);
        Assert.True(_keyboard!.IsListening);
        _guest.Close();
        Assert.False(_keyboard.IsListening);

        (uint, uint) Stroke()
        {
            VmBusGuest.Packet packet = Answer(3);
            return (packet.Word(4), packet.Word(8));
        }
    }

    [Fact]
    public void A_mouse_says_what_it_is_and_where()
    {
        Open(AddPointer, "cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a");
        TellPipe(0, Words(0x1_0000));
        Assert.Equal(0, AnswerPipe(1).Data[20]);
        TellPipe(0, Words(0x2_0000));
        VmBusGuest.Packet accepted = AnswerPipe(1);
        Assert.Equal((0x2_0000u, 1), (accepted.Word(16), accepted.Data[20]));
        byte[] info = AnswerPipe(2).Data;
        Assert.Equal(32, BitConverter.ToInt32(info, 16));
        Assert.Equal([9, 0x21], info[48..50]);
        int descriptor = BitConverter.ToUInt16(info, 55);
        Assert.Equal(BitConverter.ToInt32(info, 4), 8 + 32 + 9 + descriptor);
        Assert.Equal([0xc0, 0xc0], info[(57 + descriptor - 2)..(57 + descriptor)]);
        Assert.False(_pointer!.TrySend(new PointerState(1, 2, 0)));
        TellPipe(3, [0]);
        Assert.True(_pointer.IsListening);
        Assert.True(_pointer.TrySend(new PointerState(0x1234, 0xffff, 5)));
        Assert.Equal([5, 0x34, 0x12, 0xff, 0x7f], AnswerPipe(4).Data[16..21]);
        _guest.GoOn(AddPointer);
        Assert.True(_pointer!.IsListening);
    }

    [Fact]
    public void A_screen_shows_what_the_guest_has_in_its_memory()
    {
        Open(AddVideo, "da0a7802-e377-4aac-8e77-0558eb1073f8");
        TellPipe(1, Words(0x3), isVideo: true);
        Assert.Equal(0, AnswerPipe(2).Data[20]);
        StartVideo();
        TellPipe(13, [64], isVideo: true);
        byte[] resolutions = AnswerPipe(14).Data;
        Assert.Equal([1, 0, 1, 0x20, 3, 0x58, 2], resolutions[(16 + 128)..(16 + 135)]);

        Locate(Frame);
        Show(64, 48, 32, 256);
        Assert.Equal(1, AnswerPipe(9).Data[16]);
        IDisplay display = _video!.Display;
        Assert.True(display.TryGetMode(out DisplayMode mode));
        Assert.Equal(new DisplayMode(64, 48, 256, PixelFormat.Rgb32), mode);
        byte[] line = new byte[256];
        _guest.Ram.Set(Frame + (47 * 256) + 252, 0x00112233);
        Assert.True(display.TryReadLine(mode, 47, line));
        Assert.Equal([0x33, 0x22, 0x11, 0], line[252..]);
        Assert.True(display.TryTakeChanged(out _));
        TellPipe(10, [0, 2, .. Words(1, 2, 3, 4), .. Words(0xffff_ffff, 5, 2, 0x7fff_ffff)], isVideo: true);
        Assert.True(display.TryTakeChanged(out DisplayRectangle changed));
        Assert.Equal(new DisplayRectangle(0, 2, 3, 48), changed);

        // Another resolution, another machine, and another system.
        Show(32, 32, 16, 64);
        Assert.True(display.TryGetMode(out mode));
        Assert.Equal(new DisplayMode(32, 32, 64, PixelFormat.Rgb16), mode);
        _guest.GoOn(AddVideo);
        display = _video!.Display;
        Assert.True(display.TryGetMode(out DisplayMode after));
        Assert.Equal(mode, after);
        _guest.Close();
        Assert.False(display.TryGetMode(out _));
    }

    [Theory]
    [InlineData(0xffff_ffff_ffff_0000UL, 64u, 48u, 32, 256u)] // No RAM.
    [InlineData(ulong.MaxValue, 64u, 48u, 32, 256u)]
    [InlineData(Frame, 0u, 48u, 32, 256u)]
    [InlineData(Frame, 64u, 48u, 32, 255u)] // Lines overlap.
    [InlineData(Frame, 64u, 48u, 24, 256u)]
    [InlineData(Frame, 0x8000_0040u, 48u, 32, 256u)]
    [InlineData(Frame, 64u, 0xffff_ffffu, 32, 256u)]
    [InlineData(Frame, 64u, 48u, 32, 0xffff_ff00u)]
    [InlineData(Frame, 1024u, 1025u, 32, 4096u)] // Longer than was offered.
    public void What_cannot_be_a_picture_is_not_shown(ulong address, uint width, uint height, int bits, uint pitch)
    {
        Open(AddVideo, "da0a7802-e377-4aac-8e77-0558eb1073f8");
        StartVideo();
        Locate(Frame);
        Show(64, 48, 32, 256);
        AnswerPipe(9);
        Locate(address);
        Show(width, height, (byte)bits, pitch);
        Assert.False(_video!.Display.TryGetMode(out _));
        Locate(Frame);
        Show(64, 48, 32, 256);
        Assert.True(_video.Display.TryGetMode(out _));
    }

    [Fact]
    public void Messages_that_are_cut_or_unknown_are_passed_over()
    {
        Open(AddVideo, "da0a7802-e377-4aac-8e77-0558eb1073f8");
        TellPipe(3, new byte[17], isVideo: true);
        ExpectNothing();
        StartVideo();
        foreach (uint type in new uint[] { 0, 3, 5, 7, 8, 10, 15, 0xffff_ffff })
        {
            for (int length = 0; length < 17; length++)
            {
                TellPipe(type, new byte[length], isVideo: true);
            }
        }

        TellPipe(10, [0, 255, 1, 2, 3], isVideo: true);
        Tell(Words(2, 8, 1, 1));
        Tell([1]);
        _guest.Put(9, 0, VmBusGuest.Ranges((0, 1)), Words(1, 8, 13, 8));
        ExpectNothing();
    }

    [Fact]
    public void States_that_cannot_be_are_refused()
    {
        Open(AddKeyboard, "f912ad6d-2b17-48ea-bd65-f927a61c7684");
        Tell(Words(1, 0x1_0000));
        _guest.RefusesWhatCannotBe("hvkeyboard", AddKeyboard);
    }

    [Fact]
    public void States_of_a_mouse_that_cannot_be_are_refused()
    {
        Open(AddPointer, "cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a");
        TellPipe(0, Words(0x2_0000));
        TellPipe(3, [0]);
        _guest.RefusesWhatCannotBe("hvmouse", AddPointer);
    }

    [Fact]
    public void States_of_a_screen_that_cannot_be_are_refused()
    {
        Open(AddVideo, "da0a7802-e377-4aac-8e77-0558eb1073f8");
        StartVideo();
        Locate(Frame);
        Show(64, 48, 32, 256);
        _guest.RefusesWhatCannotBe("hvvideo", AddVideo);
    }

    private static byte[] Words(params uint[] words)
    {
        byte[] bytes = new byte[words.Length * 4];
        Buffer.BlockCopy(words, 0, bytes, 0, bytes.Length);
        return bytes;
    }

    private void AddKeyboard(VmBusController bus) => _keyboard = new SyntheticKeyboard(bus);

    private void AddPointer(VmBusController bus) => _pointer = new SyntheticPointer(bus);

    private void AddVideo(VmBusController bus) => _video = new SyntheticVideo(bus, new CheckedLock(), new CheckedLock(), _guest.Ram.Memory, 800, 600);

    private void Open(Action<VmBusController> build, string type)
    {
        build(_guest.Bus);
        _guest.Bus.Start();
        Assert.Equal(new Guid(type), _guest.Open());
    }

    private void StartVideo()
    {
        TellPipe(1, Words(Version35), isVideo: true);
        VmBusGuest.Packet answer = AnswerPipe(2);
        Assert.Equal((Version35, (byte)1), (answer.Word(16), answer.Data[20]));
    }

    private void Locate(ulong address)
    {
        TellPipe(3, [.. BitConverter.GetBytes(77UL), 1, .. BitConverter.GetBytes(address)], isVideo: true);
        Assert.Equal(77u, AnswerPipe(4).Word(16));
    }

    private void Show(uint width, uint height, byte bits, uint pitch)
    {
        TellPipe(5, [.. BitConverter.GetBytes(78UL), 1, 1, .. Words(0), bits, .. Words(width, height, pitch)], isVideo: true);
        Assert.Equal(78u, AnswerPipe(6).Word(16));
    }

    private void Tell(byte[] message) => _guest.Put(6, 0, [], message);

    // The mouse's lengths are without the header before them, and the screen's with it.
    private void TellPipe(uint type, byte[] body, bool isVideo = false) => Tell([.. Words(1, (uint)(8 + body.Length), type, (uint)(body.Length + (isVideo ? 8 : 0))), .. body]);

    private VmBusGuest.Packet Answer(uint type)
    {
        VmBusGuest.Packet packet = Next();
        Assert.Equal(type, packet.Word(0));
        return packet;
    }

    private VmBusGuest.Packet AnswerPipe(uint type)
    {
        VmBusGuest.Packet packet = Next();
        Assert.Equal((1u, type), (packet.Word(0), packet.Word(8)));
        return packet;
    }

    private void ExpectNothing()
    {
        while (_guest.Take() is { } packet)
        {
            Assert.Equal(11, packet.Type);
        }
    }

    // The next that is not only the end of what was asked for.
    private VmBusGuest.Packet Next()
    {
        while (_guest.Take() is { } packet)
        {
            if (packet.Type == 6)
            {
                return packet;
            }
        }

        throw new InvalidOperationException("There is no packet.");
    }
}
