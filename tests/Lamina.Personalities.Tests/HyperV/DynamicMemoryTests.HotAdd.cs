using Lamina.Machine.Devices;
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

    // The first of those fields that machines have since guests can need longer pieces.
    private const ushort OfNewerMachines = 13;

    // Balloon, hot-add, and an alignment of 128 MiB.
    private const uint Capabilities = 1 | 2 | (7 << 2);

    private ulong _pieces = 2;
    private int _answers;

    void IHotAddObserver.OnHotAddAnswer() => _answers++;

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

    // A driver that adds nothing, and one whose pieces are twice and 128 times as long as what there is.
    [Theory]
    [InlineData(1u, HotAddObstacle.Unsupported, Piece, 0UL)]
    [InlineData(1u | 2 | (9 << 2), HotAddObstacle.Alignment, 4 * Piece, 2 * Piece)]
    [InlineData(1u | 2 | (15 << 2), HotAddObstacle.Alignment, 256 * Piece, 2 * Piece)]
    public void AGuestThatCannotGetsNothingAndThatIsSaid(uint capabilities, HotAddObstacle obstacle, ulong length, ulong unreachable)
    {
        BuildLater();
        Assert.Equal(new HotAddState(HotAddObstacle.None, false, Piece, 0), _service.HotAdd);
        Connect(capabilities);
        _guest.Host.Clock.Advance(Second);
        Assert.Null(_guest.Take());
        Assert.Equal(2 * Piece, _service.Size);
        Assert.Equal(new HotAddState(obstacle, false, length, unreachable), _service.HotAdd);

        // Nothing more is wanted.
        _service.Target = 2 * Piece;
        Assert.Equal(HotAddObstacle.None, _service.HotAdd.Obstacle);
    }

    [Theory]
    [InlineData(0u, 1u, 3)]
    [InlineData(6u, 1u, 3)]
    [InlineData(7u, 1u, 3)]
    [InlineData(8u, 2u, 1)]
    public void PiecesAreAsLongAsTheGuestNeedsThem(uint alignment, uint factor, int count)
    {
        _pieces = 3;
        BuildLater();
        Connect(1 | 2 | (alignment << 2));
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(LaterPage + ((ulong)i * factor * PiecePages), NextPiece(factor * PiecePages));
            Assert.True(_service.HotAdd.IsUnderWay);
            Added(factor * PiecePages, 1);
        }

        // What is less than one is left, and that is said.
        _guest.Host.Clock.Advance(Second);
        Assert.Null(_guest.Take());
        ulong left = (3 - ((ulong)count * factor)) * Piece;
        Assert.Equal(left, _service.Size);
        Assert.Equal(new HotAddState(left == 0 ? HotAddObstacle.None : HotAddObstacle.Alignment, false, factor * Piece, left), _service.HotAdd);
    }

    [Fact]
    public void APieceBeginsAtAMultipleOfItsLength()
    {
        _pieces = 4;
        BuildLater();
        Connect(Capabilities);
        NextPiece();
        Added(PiecePages, 1);
        NextPiece();
        Added(0, 0);

        // Another driver, with pieces that would begin in the middle of one.
        _guest.Close();
        Connect(1 | 2 | (8 << 2));
        _guest.Host.Clock.Advance(Second);
        Assert.Null(_guest.Take());
        Assert.Equal(new HotAddState(HotAddObstacle.Alignment, false, 2 * Piece, 3 * Piece), _service.HotAdd);
    }

    [Fact]
    public void AGuestThatRefusesEachTimeIsNotAskedWithoutEnd()
    {
        BuildLater();
        _service.SetObserver(this);
        Connect(Capabilities);
        foreach (int seconds in (int[])[0, 1, 2, 4, 8])
        {
            if (seconds > 1)
            {
                _guest.Host.Clock.Advance((ulong)(seconds - 1) * Second);
                Assert.Null(_guest.Take());
            }

            _guest.Host.Clock.Advance(seconds == 0 ? 0 : Second);
            Assert.Equal(LaterPage, NextPiece());
            Added(0, 0);
            Assert.Equal(seconds == 8 ? HotAddObstacle.GivenUp : HotAddObstacle.Refused, _service.HotAdd.Obstacle);
        }

        Assert.Equal(5, _answers);
        for (int i = 0; i < 100; i++)
        {
            _guest.Host.Clock.Advance(Second);
            Assert.Null(_guest.Take());
        }

        // The pages that it gives back are asked for all the same.
        _service.Target = (2 * Piece) + (10 << 12);
        Assert.Equal((6u, 10u), Next());
        Give(more: false, (FirstPage + 256, 10));

        // Somebody says it anew.
        _service.Target = 0;
        Assert.Equal(8, _guest.Take()!.Data[0]);
        Send(9);
        Assert.Equal(LaterPage, NextPiece());
        Added(PiecePages, 1);
        Assert.Equal(HotAddObstacle.None, _service.HotAdd.Obstacle);
        Assert.Equal(LaterPage + PiecePages, NextPiece());
    }

    [Fact]
    public void AGuestThatSaysThatNoMoreCanBeHadIsBelieved()
    {
        BuildLater();
        Connect(Capabilities);
        NextPiece();
        Added(0, 1);
        Assert.Equal(HotAddObstacle.Limit, _service.HotAdd.Obstacle);
        _service.Target = Piece;
        _guest.Host.Clock.Advance(Second);
        Assert.Null(_guest.Take());
    }

    [Fact]
    public void WhatAGuestNeedsAndRefusesIsKnownInAnotherMachine()
    {
        BuildLater();
        Connect(1 | 2 | (8 << 2));
        for (int i = 0; i < 4; i++)
        {
            _guest.Host.Clock.Advance(16 * Second);
            NextPiece(2 * PiecePages);
            Added(0, 0);
            Assert.Equal(HotAddObstacle.Refused, _service.HotAdd.Obstacle);
        }

        _guest.GoOn(BuildLater);
        Assert.Equal(new HotAddState(HotAddObstacle.Refused, false, 2 * Piece, 0), _service.HotAdd);
        _guest.Host.Clock.Advance(16 * Second);
        NextPiece(2 * PiecePages);
        _guest.GoOn(BuildLater);
        Added(0, 0);
        Assert.Equal(HotAddObstacle.GivenUp, _service.HotAdd.Obstacle);
        _guest.GoOn(BuildLater);
        Assert.Equal(HotAddObstacle.GivenUp, _service.HotAdd.Obstacle);
        _guest.RefusesWhatCannotBe("dynamicmemory0", BuildLater, OfNewerMachines);
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
        _guest.RefusesWhatCannotBe("dynamicmemory0", BuildLater, OfNewerMachines);
    }

    private void BuildLater()
    {
        _guest.Rebuild();
        BuildLater(_guest.Bus);
    }

    // Nobody looks into what is added.
    private void BuildLater(VmBusController bus)
    {
        GuestMemoryRegion later = new(Later, _pieces * Piece, unchecked((nint)0x7000_0000_0000));
        GuestMemory memory = new([.. _guest.Ram.Memory.Regions, later]);
        _memories.Add(memory);
        _service = new DynamicMemoryService(bus, memory, this, later);
    }

    private ulong NextPiece(uint pages = PiecePages)
    {
        VmBusGuest.Packet? packet = _guest.Take();
        Assert.NotNull(packet);
        Assert.Equal((10u, 16), (packet.Word(0) & 0xffff, packet.Data.Length));
        Assert.Equal(pages, packet.Word(12) >> 8);
        return BitConverter.ToUInt64(packet.Data, 8) & 0xff_ffff_ffff;
    }

    private void Added(uint pages, uint succeeded) => Send(11, pages, succeeded);
}
