using Lamina.Machine.Memory;
using Lamina.Personalities.HyperV.Memory;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.Tests.HyperV;

/// <content>Memory that a guest does not have at the start.</content>
public sealed partial class DynamicMemoryTests
{
    private const uint PiecePages = 32768;
    private const ulong Piece = (ulong)PiecePages << 12;
    private const ulong Later = 1UL << 32;
    private const ulong LaterPage = Later >> 12;

    // Balloon, hot-add, and an alignment of 128 MiB.
    private const uint Capabilities = 1 | 2 | (7 << 2);

    [Fact]
    public void AGuestGetsPiecesAndGivesBackOfThem()
    {
        BuildLater();
        _service.Target = 2 * Piece;
        Connect(Capabilities);
        Assert.Equal((2 * Piece, 2 * Piece), (_service.Size, _service.Target));
        Assert.Null(_guest.Take());

        // A piece is more than is wanted, and the rest is asked back.
        _service.Target = (2 * Piece) - (40 << 12);
        Assert.Equal(LaterPage, NextPiece());
        _service.Target = Piece + (100 << 12);
        Assert.Null(_guest.Take());
        Added(PiecePages, 1);
        Assert.Equal(Piece, _service.Size);
        Assert.Equal((6u, 100u), Next());
        Give(more: false, (LaterPage + 7, 100));
        Assert.Equal(Piece + (100 << 12), _service.Size);
        Assert.Equal([(Later + (7 << 12), 100u << 12)], _reclaimed);

        // Those are returned before more is added.
        _service.Target = 0;
        VmBusGuest.Packet request = _guest.Take()!;
        Assert.Equal((8, (LaterPage + 7) | (100UL << 40)), (request.Data[0], BitConverter.ToUInt64(request.Data, 16)));
        Assert.Null(_guest.Take());
        Send(9);
        Assert.Equal(LaterPage + PiecePages, NextPiece());
        Added(PiecePages, 1);
        Assert.Equal(0UL, _service.Size);
        _guest.Host.Clock.Advance(Second);
        Assert.Null(_guest.Take());
        _service.Target = 2 * Piece;
        Assert.Equal((6u, 2 * PiecePages), Next());
    }

    [Fact]
    public void AFailureThatMayPassIsTriedAgainAndALimitIsNot()
    {
        BuildLater();
        Connect(Capabilities);
        Assert.Equal(LaterPage, NextPiece());
        Added(0, 0);
        Assert.Null(_guest.Take());
        _guest.Host.Clock.Advance(Second);
        Assert.Equal(LaterPage, NextPiece());
        Added(1000, 1);
        Assert.Equal((2 * Piece) - (1000 << 12), _service.Size);
        _guest.Host.Clock.Advance(Second);
        Assert.Null(_guest.Take());

        // Another driver does not get what would not lie as it needs it.
        _guest.Close();
        Connect(Capabilities);
        _guest.Host.Clock.Advance(Second);
        Assert.Null(_guest.Take());
        Assert.Equal((2 * Piece) - (1000 << 12), _service.Size);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(1u | 2 | (8 << 2))]
    public void AGuestThatCannotGetsNothing(uint capabilities)
    {
        BuildLater();
        Connect(capabilities);
        _guest.Host.Clock.Advance(Second);
        Assert.Null(_guest.Take());
        Assert.Equal(2 * Piece, _service.Size);
    }

    [Fact]
    public void WhatAGuestTellsOfPiecesIsHeldAgainstThem()
    {
        BuildLater();
        _service.Target = 2 * Piece;
        Connect(Capabilities);
        Added(PiecePages, 1);
        Assert.Equal(2 * Piece, _service.Size);
        _service.Target = Piece;
        Assert.Equal(LaterPage, NextPiece());
        Added(uint.MaxValue, uint.MaxValue);
        Added(PiecePages, 1);
        Assert.Equal(Piece, _service.Size);

        // It gives what it does not have.
        _service.Target = Piece + (10 << 12);
        Assert.Equal((6u, 10u), Next());
        Give(more: false, (LaterPage + PiecePages - 2, 6), (LaterPage + (2 * PiecePages) - 1, 9));
        Assert.Equal(Piece + (2 << 12), _service.Size);
    }

    [Fact]
    public void AGuestThatStartsAgainHasWhatItHadAtTheStart()
    {
        BuildLater();
        Connect(Capabilities);
        NextPiece();
        Added(PiecePages, 1);
        NextPiece();

        // A driver that goes leaves the system what it has.
        _guest.Close();
        Assert.Equal(Piece, _service.Size);
        _guest.Bus.Stop();
        _guest.Reset();
        Assert.Equal(2 * Piece, _service.Size);
        Assert.Equal(Piece, (ulong)_reclaimed.Sum(static r => (long)r.Length));
        _guest.Bus.Start();
        Connect(Capabilities);
        Assert.Equal(LaterPage, NextPiece());
    }

    [Fact]
    public void PiecesAreKnownInAnotherMachine()
    {
        BuildLater();
        Connect(Capabilities);
        NextPiece();
        _guest.GoOn(BuildLater);
        Added(PiecePages, 1);
        Assert.Equal(LaterPage + PiecePages, NextPiece());
        _guest.GoOn(BuildLater);
        Assert.Equal(Piece, _service.Size);
        Added(PiecePages, 1);
        Assert.Equal(0UL, _service.Size);
        _guest.RefusesWhatCannotBe("dynamicmemory0", BuildLater);
    }

    private void BuildLater()
    {
        _guest.Rebuild();
        BuildLater(_guest.Bus);
    }

    // Nobody looks into what is added.
    private void BuildLater(VmBusController bus)
    {
        GuestMemoryRegion later = new(Later, 2 * Piece, unchecked((nint)0x7000_0000_0000));
        GuestMemory memory = new([.. _guest.Ram.Memory.Regions, later]);
        _memories.Add(memory);
        _service = new DynamicMemoryService(bus, memory, this, later);
    }

    private ulong NextPiece()
    {
        VmBusGuest.Packet? packet = _guest.Take();
        Assert.NotNull(packet);
        Assert.Equal((10u, 16), (packet.Word(0) & 0xffff, packet.Data.Length));
        Assert.Equal(PiecePages, packet.Word(12) >> 8);
        return BitConverter.ToUInt64(packet.Data, 8) & 0xff_ffff_ffff;
    }

    private void Added(uint pages, uint succeeded) => Send(11, pages, succeeded);
}
