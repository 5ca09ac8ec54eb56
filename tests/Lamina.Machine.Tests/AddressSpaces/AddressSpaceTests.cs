using Lamina.Machine.AddressSpaces;

namespace Lamina.Machine.Tests.AddressSpaces;

public sealed class AddressSpaceTests
{
    private readonly TestLock _lock = new();
    private readonly AddressSpace _space;

    public AddressSpaceTests()
    {
        _space = new AddressSpace(AddressSpace.PortCount, _lock);
    }

    [Fact]
    public void AnEmptySpaceReadsAllOnesAndSwallowsWrites()
    {
        Assert.Equal((AccessResult.Unclaimed, 0xffffUL), Read(0x80, 2));
        Assert.Equal(AccessResult.Unclaimed, _space.Write(0x80, new byte[1]));
        Assert.False(_space.IsClaimed(0x80));
    }

    [Fact]
    public void ADeviceSeesOffsetsInItsWindow()
    {
        Window window = new(0x11);
        AddressMapping mapping = _space.Map("uart", 0x3f8, 8, window);
        Assert.Equal((AccessResult.Done, 0x11UL), Read(0x3fd, 1));
        Assert.Equal(5UL, window.LastOffset);
        Assert.Equal(AccessResult.Done, _space.Write(0x3f8, new byte[2]));
        Assert.Equal(0UL, window.LastOffset);
        Assert.Equal(("uart", 0x3f8UL, 8UL, true), (mapping.Name, mapping.Address, mapping.Length, mapping.Enabled));
        Assert.True(_lock.IsFree);
    }

    [Theory]
    [InlineData(0x3f7UL, 1)]
    [InlineData(0x3f7UL, 2)]
    [InlineData(0x400UL, 1)]
    [InlineData(0x3ffUL, 2)]
    [InlineData(0x3fdUL, 4)]
    [InlineData(ulong.MaxValue, 8)]
    public void WhatIsOutsideOrStraddlesTheEndIsUnclaimed(ulong address, int length)
    {
        _space.Map("uart", 0x3f8, 8, new Window(0));
        Assert.Equal(AccessResult.Unclaimed, Read(address, length).Result);
        Assert.Equal(AccessResult.Unclaimed, _space.Write(address, new byte[length]));
    }

    [Fact]
    public void AWidthThatTheDeviceRefusesReadsAllOnes()
    {
        _space.Map("narrow", 0, 8, new Window(0, widest: 1));
        Assert.Equal((AccessResult.BadWidth, 0xffff_ffffUL), Read(0, 4));
        Assert.Equal((AccessResult.Done, 0UL), Read(0, 1));
    }

    [Fact]
    public void TheRangeMappedLastWinsAndTheOtherShowsAroundIt()
    {
        _space.Map("back", 0x100, 0x30, new Window(1));
        AddressMapping front = _space.Map("front", 0x110, 0x10, new Window(2));
        Assert.Equal([1UL, 2UL, 2UL, 1UL], [Read(0x10f, 1).Value, Read(0x110, 1).Value, Read(0x11f, 1).Value, Read(0x120, 1).Value]);
        Assert.True(_space.Update(front, 0x110, enabled: false));
        Assert.Equal((AccessResult.Done, 0x0101_0101UL), Read(0x10e, 4));
        Assert.True(_space.Update(front, 0x200, enabled: true));
        Assert.Equal([1UL, 2UL], [Read(0x110, 1).Value, Read(0x200, 1).Value]);
    }

    [Fact]
    public void AMoveOutOfTheSpaceDisables()
    {
        AddressMapping mapping = _space.Map("bar", 0x100, 0x100, new Window(3));
        Assert.False(_space.Update(mapping, 0xff01, enabled: true));
        Assert.False(mapping.Enabled);
        Assert.False(_space.IsClaimed(0x100));
        Assert.False(_space.Update(mapping, ulong.MaxValue, enabled: true));
        Assert.True(_space.Update(mapping, 0xff00, enabled: true));
        Assert.True(_space.IsClaimed(0xffff));
    }

    [Fact]
    public void RangesThatCannotBeAreRefused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => _space.Map("x", 0, 0, new Window(0)));
        Assert.Throws<ArgumentOutOfRangeException>(() => _space.Map("x", 0xffff, 2, new Window(0)));
        Assert.Throws<ArgumentOutOfRangeException>(() => _space.Map("x", 0, 0x1_0001, new Window(0)));
        Assert.Throws<ArgumentOutOfRangeException>(() => _space.Map("x", ulong.MaxValue, 1, new Window(0)));
    }

    [Fact]
    public void ManyRangesAgreeWithASearchFromTheBack()
    {
        Random random = new(7);
        Window[] windows = new Window[40];
        for (int i = 0; i < windows.Length; i++)
        {
            windows[i] = new Window((byte)(i + 1));
            _space.Map($"w{i}", (ulong)random.Next(0x200), (ulong)random.Next(1, 0x40), windows[i], random.Next(4) != 0);
        }

        for (ulong address = 0; address < 0x260; address++)
        {
            AddressMapping? expected = _space.Mappings.ToArray().LastOrDefault(m => m.Enabled && address - m.Address < m.Length);
            Assert.Equal(expected != null, _space.IsClaimed(address));
            Assert.Equal(expected == null ? 0xffUL : ((Window)expected.Window).Fill, Read(address, 1).Value);
        }
    }

    [Fact]
    public void AccessesAllocateNothing()
    {
        _space.Map("uart", 0x3f8, 8, new Window(0));
        Span<byte> data = stackalloc byte[4];
        _space.Read(0x3f8, data);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            _space.Read(0x3f8, data);
            _space.Write(0x3f8, data);
            _space.Read(0x9000, data);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private (AccessResult Result, ulong Value) Read(ulong address, int length)
    {
        byte[] data = new byte[8];
        AccessResult result = _space.Read(address, data.AsSpan(0, length));
        return (result, BitConverter.ToUInt64(data));
    }

    private sealed class Window(byte fill, int widest = 8) : IRegisterWindow
    {
        public byte Fill { get; } = fill;

        public ulong LastOffset { get; private set; }

        public AccessResult Read(ulong offset, Span<byte> data)
        {
            LastOffset = offset;
            data.Fill(Fill);
            return data.Length <= widest ? AccessResult.Done : AccessResult.BadWidth;
        }

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            LastOffset = offset;
            return data.Length <= widest ? AccessResult.Done : AccessResult.BadWidth;
        }
    }
}
