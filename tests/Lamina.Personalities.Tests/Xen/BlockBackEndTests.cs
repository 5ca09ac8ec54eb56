using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Personalities.Xen.Block;
using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Store;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>A disk as its front end sees it, good and hostile.</summary>
public sealed partial class BlockBackEndTests : IDisposable
{
    private const string Front = "/local/domain/1/device/vbd/51712";
    private const string Back = "/local/domain/0/backend/vbd/1/51712";
    private const ulong Ring = 0x30_0000;
    private const ulong Data = 0x31_0000;
    private const ulong Entries = 0x20_0000;
    private const int Permitted = 1;
    private const int ReadOnly = 4;
    private const int Reading = 8;
    private const int Used = Permitted | Reading | 16;
    private TestDisk _disk = new(1 << 20);
    private bool _persistentGrants;
    private readonly StoreClient _guest;
    private uint _port;
    private uint _produced;
    private uint _consumed;

    public BlockBackEndTests()
    {
        _guest = new StoreClient((bus, _) => new BlockBackEnd(bus, StoreClient.NewLock(), 0, _disk, _persistentGrants));
    }

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void TheDiskIsDescribed()
    {
        Assert.Equal(Back, _guest.Read($"{Front}/backend"));
        Assert.Equal(("2", "2048", "512"), (_guest.Read($"{Back}/state"), _guest.Read($"{Back}/sectors"), _guest.Read($"{Back}/sector-size")));
        Assert.Equal(("1", "1", "256", "2", "2"), (_guest.Read($"{Back}/feature-flush-cache"), _guest.Read($"{Back}/feature-discard"), _guest.Read($"{Back}/feature-max-indirect-segments"), _guest.Read($"{Back}/max-ring-page-order"), _guest.Read($"{Back}/multi-queue-max-queues")));
        Assert.Equal("EACCES\0", _guest.Write($"{Back}/state", "4"));
    }

    [Fact]
    public void SectorsAreReadWrittenFlushedAndDiscarded()
    {
        Connect();
        new Random(1).NextBytes(_disk.Content);
        Assert.Equal((short)0, Request(0, 8, (10, 0, 7), (11, 2, 3)));
        Assert.Equal(_disk.Content.AsSpan(8 * 512, 4096).ToArray(), Get(Data, 4096));
        Assert.Equal(_disk.Content.AsSpan(16 * 512, 1024).ToArray(), Get(Data + 0x1000 + 1024, 1024));
        Assert.Equal((short)0, Request(1, 100, (12, 0, 0)));
        Assert.Equal(Get(Data + 0x2000, 512), _disk.Content.AsSpan(100 * 512, 512).ToArray());
        Assert.Equal((short)0, Request(3, 0));
        byte[] discard = Entry(5, 0, 16);
        BinaryPrimitives.WriteUInt64LittleEndian(discard.AsSpan(24), 8);
        Assert.Equal((short)0, Submit(discard));
        Assert.Equal(["Read 4096+5120", "Write 51200+512", "Flush 0+0", "Discard 8192+4096"], _disk.Log);
    }

    [Fact]
    public void SegmentsInAPageOfTheirOwnMakeOneRequest()
    {
        Connect();
        for (uint i = 0; i < 256; i++)
        {
            _guest.Memory.TryWrite(Data + 0x8000 + (i * 8), 10u);
            _guest.Memory.TryWrite(Data + 0x8000 + (i * 8) + 4, 0x0000_0000u);
        }

        byte[] entry = Entry(6, 0, 0);
        entry[1] = 0;
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(2), 256);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(28), 18);
        Assert.Equal((short)0, Submit(entry));
        Assert.Equal(["Read 0+131072"], _disk.Log);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(2), 257);
        Assert.Equal((short)-1, Submit(entry));
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(2), 1);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(28), 999);
        Assert.Equal((short)-1, Submit(entry));
        entry[1] = 6;
        Assert.Equal((short)-2, Submit(entry));
    }

    [Fact]
    public void GrantsAreNotKeptUnlessThatWasOffered()
    {
        // Linux's front end says that it keeps them whatever was offered, and gives a disk up whose grants are in use after a request.
        Assert.Equal("0", _guest.Read($"{Back}/feature-persistent"));
        Connect(persistent: true);
        Assert.Equal((short)0, Request(0, 8, (10, 0, 7), (11, 2, 3)));
        Assert.Equal((Permitted, Permitted), (GetFlags(10), GetFlags(11)));
    }

    [Fact]
    public void GrantsThatTheFrontEndKeepsAreInUseUntilItCloses()
    {
        OfferPersistentGrants();
        Assert.Equal("1", _guest.Read($"{Back}/feature-persistent"));
        Connect(persistent: true);
        Assert.Equal((short)0, Request(0, 8, (10, 0, 7), (11, 2, 3)));
        Assert.Equal((Used, Used, Permitted), (GetFlags(10), GetFlags(11), GetFlags(12)));

        // One that the front end has ended and given again is in use again; one that only lets be read is not written; another than the one that is kept is no grant.
        _guest.Grant(10, Data + 0x3000);
        Assert.Equal(Permitted, GetFlags(10));
        Assert.Equal((short)0, Request(1, 8, (10, 0, 7)));
        Assert.Equal(Used, GetFlags(10));
        SetFlags(12, Permitted | ReadOnly);
        Assert.Equal((short)-1, Request(0, 8, (12, 0, 7)));
        Assert.Equal((short)0, Request(1, 8, (12, 0, 7)));
        Assert.Equal(Permitted | ReadOnly | Reading, GetFlags(12));
        SetFlags(11, 0);
        Assert.Equal((short)-1, Request(1, 8, (11, 0, 7)));
        Assert.Equal(0, GetFlags(11));

        // What is under way uses its pages until it is done, and so the device is closed when that is.
        _disk.Hold = true;
        Put(Transfer(0, 8, (13, 0, 7)));
        SetState("6");
        Assert.Equal(("4", Used), (_guest.Read($"{Back}/state"), GetFlags(13)));
        _disk.CompleteOne();
        Assert.Equal("6", _guest.Read($"{Back}/state"));
        Assert.Equal((Permitted, 0, Permitted | ReadOnly, Permitted), (GetFlags(10), GetFlags(11), GetFlags(12), GetFlags(13)));
    }

    [Fact]
    public void GrantsThatTheFrontEndDoesNotKeepAreNeverShownInUse()
    {
        Connect();
        Assert.Equal((short)0, Request(0, 8, (10, 0, 7)));
        Assert.Equal(Permitted, GetFlags(10));
    }

    [Fact]
    public void WhatIsWrongWithARequestIsItsAnswer()
    {
        Connect();
        Assert.Equal((short)-1, Request(0, 0));
        Assert.Equal((short)-1, Request(0, 0, (10, 3, 2)));
        Assert.Equal((short)-1, Request(0, 0, (10, 0, 8)));
        Assert.Equal((short)-1, Request(0, 0, (999, 0, 0)));
        Assert.Equal((short)-1, Request(0, 0, (uint.MaxValue, 0, 0)));
        Assert.Equal((short)-1, Request(0, 2048, (10, 0, 0)));
        Assert.Equal((short)-1, Request(0, 2041, (10, 0, 7)));
        Assert.Equal((short)-1, Request(0, ulong.MaxValue, (10, 0, 0)));
        Assert.Equal((short)-1, Request(0, ulong.MaxValue / 512 + 1, (10, 0, 0)));
        Assert.Equal((short)-2, Request(77, 0, (10, 0, 0)));
        Assert.Equal((short)-1, Request(3, 0, (10, 0, 0)));
        byte[] many = Entry(0, 12, 0);
        Assert.Equal((short)-1, Submit(many));
        _guest.Grant(13, Data, flags: 5);
        Assert.Equal((short)-1, Request(0, 0, (13, 0, 0)));
        Assert.Equal((short)0, Request(1, 0, (13, 0, 0)));
        Assert.Equal(["Write 0+512"], _disk.Log);
        _disk.Answer = BlockResult.Failed;
        Assert.Equal((short)-1, Request(0, 0, (10, 0, 0)));
        Assert.Equal("4", _guest.Read($"{Back}/state"));
    }

    [Fact]
    public void ADiskComesAndGoesWhileTheMachineRuns()
    {
        const string NewFront = "/local/domain/1/device/vbd/51728";
        const string NewBack = "/local/domain/0/backend/vbd/1/51728";
        _guest.Ask(StoreMessage.Watch, "device\0d\0");
        _guest.Events.Clear();
        BlockBackEnd disk = new(_guest.Bus, StoreClient.NewLock(), 1, new TestDisk(1 << 20), persistentGrants: false);
        _guest.Bus.Insert(disk);
        Assert.Equal(("1", "2"), (_guest.Read($"{NewFront}/state"), _guest.Read($"{NewBack}/state")));
        Assert.Contains("device/vbd/51728/state\0d\0", _guest.Events);

        // As the front end would: it closes when it is asked to, and is gone from the store when the host says so.
        Connect();
        _disk.Content = new byte[2 << 20];
        ((BlockBackEnd)_guest.Device!).Resize();
        Assert.Equal(("4", "4096"), (_guest.Read($"{Back}/state"), _guest.Read($"{Back}/sectors")));
        XenBusController.RequestRemoval(_guest.Device!);
        Assert.Equal(("0", "5"), (_guest.Read($"{Back}/online"), _guest.Read($"{Back}/state")));
        Assert.Equal((short)0, Request(0, 0, (10, 0, 7)));
        Assert.False(XenBusController.IsGivenUp(_guest.Device!));
        _guest.Write($"{Front}/state", "6");
        Assert.Equal("6", _guest.Read($"{Back}/state"));
        Assert.True(XenBusController.IsGivenUp(_guest.Device!), "The front end is closed.");

        // One that goes does not come back.
        _guest.Write($"{Front}/state", "1");
        Assert.Equal("6", _guest.Read($"{Back}/state"));
        _guest.Events.Clear();
        _guest.Bus.Remove(_guest.Device!);
        Assert.Equal(("ENOENT\0", "EACCES\0"), (_guest.Read(Front), _guest.Read($"{Back}/state")));
        Assert.Contains("device/vbd/51712\0d\0", _guest.Events);
        Assert.Equal("2", _guest.Read($"{NewBack}/state"));
    }

    [Fact]
    public void ADiskThatNobodyHasConnectedIsGivenUpAtOnceOrByAReset()
    {
        XenBusController.RequestRemoval(_guest.Device!);
        Assert.Equal("6", _guest.Read($"{Back}/state"));
        Assert.True(XenBusController.IsGivenUp(_guest.Device!), "Nobody has it.");
        BlockBackEnd disk = new(_guest.Bus, StoreClient.NewLock(), 1, new TestDisk(1 << 20), persistentGrants: false);
        _guest.Bus.Insert(disk);
        _guest.Bus.Reset();
        Assert.False(XenBusController.IsGivenUp(disk));
    }

    [Fact]
    public void IndexesThatCannotBeEndTheDeviceAlone()
    {
        Connect();
        _guest.Memory.TryWrite(Ring, 5000u);
        _guest.Notify(_port);
        Assert.Equal("5", _guest.Read($"{Back}/state"));
        Assert.StartsWith("the ring", _guest.Read($"{Back}/error"), StringComparison.Ordinal);
        SetState("6");
        Assert.Equal("6", _guest.Read($"{Back}/state"));
        SetState("1");
        Assert.Equal("2", _guest.Read($"{Back}/state"));
        _guest.Memory.TryWrite(Ring, 0u);
        _guest.Memory.TryWrite(Ring + 8, 0u);
        Connect();
        Assert.Equal((short)0, Request(3, 0));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(77)]
    public void AFrontEndThatNeverStopsAskingEndsItsDevice(byte operation)
    {
        const int Patience = 1000;
        Connect();
        int asked = 32;
        Ask();

        // The front end has not been shown an answer, and yet asks again.
        _disk.Submitting = () =>
        {
            asked = Math.Min(asked + 16, Patience);
            Ask();
        };
        _guest.Notify(_port);
        Assert.True(_disk.Log.Count <= 32, $"{_disk.Log.Count} requests were taken of a ring of 32, without a pause.");
        Assert.Equal("5", _guest.Read($"{Back}/state"));

        void Ask()
        {
            for (uint i = 0; i < 32; i++)
            {
                Assert.True(_guest.Memory.TryWrite(Ring + 64 + (i * 112), Entry((byte)(i % 2 == 0 ? 3 : operation), 0, 0)));
            }

            _guest.Memory.TryWrite(Ring, (uint)asked);
        }
    }

    [Fact]
    public void ADeviceIsClosedWhenNothingIsUnderWay()
    {
        Connect();
        _disk.Hold = true;
        Put(Entry(3, 0, 0));
        SetState("5");
        Assert.Equal("5", _guest.Read($"{Back}/state"));
        SetState("6");
        Assert.Equal("5", _guest.Read($"{Back}/state"));
        _guest.Memory.TryRead(Ring + 8, out uint before);
        _disk.CompleteOne();
        _guest.Memory.TryRead(Ring + 8, out uint after);
        Assert.Equal(before, after);
        Assert.Equal("6", _guest.Read($"{Back}/state"));
    }

    [Fact]
    public void AFrontEndThatDoesNotWaitForTheEndOfItsRequestsIsMetAgain()
    {
        Connect();
        _disk.Hold = true;
        Put(Entry(3, 0, 0));
        SetState("6");
        SetState("1");
        Assert.Equal("4", _guest.Read($"{Back}/state"));
        _disk.CompleteOne();
        Assert.Equal("2", _guest.Read($"{Back}/state"));
        _disk.Hold = false;
        Connect();
        Assert.Equal((short)0, Request(3, 0));
    }

    [Fact]
    public void MoreRequestsThanPlacesWait()
    {
        Connect(order: 2);
        _disk.Hold = true;
        for (int i = 0; i < 100; i++)
        {
            Put(Entry(3, 0, 0), pages: 4);
        }

        Assert.Equal(64, _disk.Held.Count);
        while (_disk.Held.Count > 0)
        {
            _disk.CompleteOne();
        }

        _guest.Memory.TryRead(Ring + 8, out uint responses);
        Assert.Equal(100u, responses);
    }

    [Theory]
    [InlineData("ring-ref", "999")]
    [InlineData("ring-ref", "-1")]
    [InlineData("ring-ref", "")]
    [InlineData("event-channel", "4095")]
    [InlineData("event-channel", "99999999999")]
    [InlineData("protocol", "x86_32-abi")]
    [InlineData("multi-queue-num-queues", "3")]
    [InlineData("multi-queue-num-queues", "0")]
    [InlineData("ring-page-order", "3")]
    public void RingsThatAreNoneAreRefused(string node, string value)
    {
        _port = _guest.AllocatePort();
        _guest.Grant(8, Ring);
        _guest.Write($"{Front}/ring-ref", "8");
        _guest.Write($"{Front}/event-channel", $"{_port}");
        _guest.Write($"{Front}/{node}", value);
        SetState("3");
        Assert.Equal("5", _guest.Read($"{Back}/state"));
    }

    // From here on it is a machine whose disk offers that.
    private void OfferPersistentGrants()
    {
        _persistentGrants = true;
        _guest.Restart();
    }

    private void Connect(int order = 0, bool persistent = false)
    {
        _port = _guest.AllocatePort();
        for (uint i = 0; i < 4; i++)
        {
            _guest.Grant(20 + i, Ring + (i * 0x1000));
        }

        for (uint i = 10; i < 20; i++)
        {
            _guest.Grant(i, Data + ((i - 10) * 0x1000));
        }

        uint transaction = _guest.Begin();
        if (order == 0)
        {
            _guest.Write($"{Front}/ring-ref", "20", transaction);
        }
        else
        {
            _guest.Write($"{Front}/ring-page-order", $"{order}", transaction);
            for (int i = 0; i < 1 << order; i++)
            {
                _guest.Write($"{Front}/ring-ref{i}", $"{20 + i}", transaction);
            }
        }

        _guest.Write($"{Front}/event-channel", $"{_port}", transaction);
        _guest.Write($"{Front}/protocol", "x86_64-abi", transaction);
        _guest.Write($"{Front}/feature-persistent", persistent ? "1" : "0", transaction);
        Assert.Equal("OK\0", _guest.Ask(StoreMessage.TransactionEnd, "T\0", transaction));
        SetState("3");
        Assert.Equal("4", _guest.Read($"{Back}/state"));
        _guest.Memory.TryRead(Ring + 8, out _produced);
        _consumed = _produced;
    }

    private void SetState(string state) => Assert.Equal("OK\0", _guest.Write($"{Front}/state", state));

    private byte[] Get(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        Assert.True(_guest.Memory.TryRead(address, bytes));
        return bytes;
    }

    private static byte[] Entry(byte operation, byte segments, ulong sector)
    {
        byte[] entry = new byte[112];
        entry[0] = operation;
        entry[1] = segments;
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(8), 0x1234_5678_9abc);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(16), sector);
        return entry;
    }

    private short Request(byte operation, ulong sector, params (uint Reference, byte First, byte Last)[] segments) => Submit(Transfer(operation, sector, segments));

    private static byte[] Transfer(byte operation, ulong sector, params (uint Reference, byte First, byte Last)[] segments)
    {
        byte[] entry = Entry(operation, (byte)segments.Length, sector);
        for (int i = 0; i < segments.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(24 + (i * 8)), segments[i].Reference);
            entry[28 + (i * 8)] = segments[i].First;
            entry[29 + (i * 8)] = segments[i].Last;
        }

        return entry;
    }

    private int GetFlags(uint reference)
    {
        Assert.True(_guest.Memory.TryRead(Entries + (reference * 8), out ushort flags));
        return flags;
    }

    private void SetFlags(uint reference, int flags) => Assert.True(_guest.Memory.TryWrite(Entries + (reference * 8), (ushort)flags));

    private void Put(byte[] entry, int pages = 1)
    {
        uint size = pages == 1 ? 32u : 128u;
        Assert.True(_guest.Memory.TryWrite(Ring + 64 + (_produced % size * 112), entry));
        _guest.Memory.TryWrite(Ring, ++_produced);
        _guest.Notify(_port);
    }

    private short Submit(byte[] entry)
    {
        Put(entry);
        _guest.Memory.TryRead(Ring + 8, out uint responses);
        Assert.Equal(_consumed + 1, responses);
        byte[] response = Get(Ring + 64 + (_consumed++ % 32 * 112), 16);
        Assert.Equal(0x1234_5678_9abcUL, BinaryPrimitives.ReadUInt64LittleEndian(response));
        return BinaryPrimitives.ReadInt16LittleEndian(response.AsSpan(10));
    }
}
