using System.Runtime.InteropServices;
using Lamina.Machine.Display;
using Lamina.Personalities.Xen.Screen;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>A frame buffer as Linux's front end has it, good and hostile.</summary>
public sealed class FrameBufferBackEndTests : IDisposable
{
    private const string Front = "/local/domain/1/device/vfb/0";
    private const string Back = "/local/domain/0/backend/vfb/1/0";
    private const ulong Page = 0x30_0000;
    private const ulong Directory = 0x30_1000;
    private const ulong Pixels = 0x31_0000;
    private static readonly DisplayMode Mode = new(64, 48, 256, PixelFormat.Rgb32);
    private readonly StoreClient _guest;
    private FrameBufferBackEnd _screen = null!;
    private uint _port;
    private uint _produced;

    public FrameBufferBackEndTests() => _guest = new StoreClient((bus, _) => _screen = new FrameBufferBackEnd(bus, StoreClient.NewLock(), StoreClient.NewLock(), 800, 600));

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void APictureIsShownAndWhatIsDrawnIsTold()
    {
        Assert.Equal(("800", "600", "4"), (_guest.Read($"{Back}/width"), _guest.Read($"{Back}/height"), _guest.Read($"{Back}/videoram")));
        Connect();
        Assert.Equal("4", _guest.Read($"{Back}/state"));
        CheckPicture();
        Assert.True(_screen.Display.TryTakeChanged(out _));
        Say(2, 1, 2, 3, 4);
        Say(2, 10, 2, int.MaxValue, int.MaxValue);
        Assert.True(_screen.Display.TryTakeChanged(out DisplayRectangle changed));
        Assert.Equal(new DisplayRectangle(1, 2, 64, 48), changed);
        Assert.Equal(2u, Get(8));

        // Another size in the same pages, and one that cannot be.
        Say(3, 32, 32, 64, 16, 4096);
        Assert.True(_screen.Display.TryGetMode(out DisplayMode mode));
        Assert.Equal(new DisplayMode(32, 32, 64, PixelFormat.Rgb16), mode);
        Say(3, 4000, 4000, 16000, 32, 0);
        Assert.False(_screen.Display.TryGetMode(out _));
        Say(3, 64, 48, 256, 32, 0);
        CheckPicture();
        Say(77, 1, 2, 3, 4);
        Assert.Equal("4", _guest.Read($"{Back}/state"));
        Assert.Equal("OK\0", _guest.Write($"{Front}/state", "6"));
        Assert.False(_screen.Display.TryGetMode(out _));
    }

    [Fact]
    public void AMachineThatIsSavedShowsTheSame()
    {
        Connect();
        Say(2, 1, 2, 3, 4);
        _guest.GoOn();
        CheckPicture();
        Say(2, 5, 6, 1, 1);
        Assert.True(_screen.Display.TryTakeChanged(out _));
        Assert.Equal(2u, Get(8));
        _guest.RefusesWhatCannotBe("fbback0");
    }

    [Fact]
    public void AFrameBufferWithoutAFrontEndIsSaved() => _guest.GoOn();

    [Theory]
    [InlineData(16, 0u)] // No width.
    [InlineData(16, 5000u)]
    [InlineData(20, 0x8000_0000u)]
    [InlineData(24, 255u)] // Lines overlap.
    [InlineData(28, 8192u)] // Shorter than the picture.
    [InlineData(32, 24u)]
    [InlineData(40, 0x7fff_ffffu)] // A directory that is no RAM.
    public void WhatCannotBeAPictureIsRefused(int field, uint value)
    {
        PutPage();
        _guest.Memory.TryWrite(Page + (uint)field, value);
        Connect(put: false);
        Assert.Equal("5", _guest.Read($"{Back}/state"));
        Assert.False(_screen.Display.TryGetMode(out _));
    }

    [Theory]
    [InlineData("page-ref", "99999999")]
    [InlineData("page-ref", "x")]
    [InlineData("event-channel", "999")]
    [InlineData("protocol", "x86_32-abi")]
    public void AFrontEndThatCannotBeServedIsRefused(string name, string value)
    {
        PutPage();
        Connect(put: false, (name, value));
        Assert.Equal("5", _guest.Read($"{Back}/state"));
    }

    [Fact]
    public void AnIndexOutsideOfTheRingEndsIt()
    {
        Connect();
        _guest.Memory.TryWrite(Page + 12, 52u);
        _guest.Notify(_port);
        Assert.Equal("5", _guest.Read($"{Back}/state"));
        Assert.False(_screen.Display.TryGetMode(out _));
    }

    private uint Get(uint field)
    {
        _guest.Memory.TryRead(Page + field, out uint value);
        return value;
    }

    private void CheckPicture()
    {
        Assert.True(_screen.Display.TryGetMode(out DisplayMode mode));
        Assert.Equal(Mode, mode);
        byte[] line = new byte[256];
        Assert.True(_screen.Display.TryReadLine(mode, 17, line));
        Assert.Equal((byte)17, line[255]);
    }

    // The pages lie in memory the other way round.
    private void PutPage()
    {
        ReadOnlySpan<uint> description = [64, 48, 256, 0x3000, 32, 0];
        _guest.Memory.TryWrite(Page + 16, MemoryMarshal.AsBytes(description));
        _guest.Memory.TryWrite(Page + 40, Directory / 4096);
        for (uint i = 0; i < 3; i++)
        {
            _guest.Memory.TryWrite(Directory + (i * 8), (Pixels / 4096) + 2 - i);
        }

        for (uint y = 0; y < 48; y++)
        {
            _guest.Memory.TryWrite(Pixels + ((2 - (y / 16)) * 4096) + (y % 16 * 256) + 255, (byte)y);
        }
    }

    private void Connect(bool put = true, params (string Name, string Value)[] others)
    {
        if (put)
        {
            PutPage();
        }

        _port = _guest.AllocatePort();
        foreach ((string name, string value) in new[] { ("page-ref", $"{Page / 4096}"), ("event-channel", $"{_port}"), ("protocol", "x86_64-abi"), ("feature-update", "1") }.Concat(others).Append(("state", "3")))
        {
            Assert.Equal("OK\0", _guest.Write($"{Front}/{name}", value));
        }
    }

    private void Say(byte type, params int[] words)
    {
        ulong at = Page + 2048 + (_produced % 51 * 40);
        _guest.Memory.TryWrite(at, type);
        for (int i = 0; i < words.Length; i++)
        {
            _guest.Memory.TryWrite(at + 4 + ((ulong)i * 4), words[i]);
        }

        _guest.Memory.TryWrite(Page + 12, ++_produced);
        _guest.Notify(_port);
    }
}
