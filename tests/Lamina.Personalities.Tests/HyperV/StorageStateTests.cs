using System.Buffers.Binary;
using Lamina.Personalities.HyperV.Storage;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>The disks of the bus in a machine that is saved while its guest writes.</summary>
public sealed class StorageStateTests : IDisposable
{
    private const int Answers = 139;
    private const int Places = 64;
    private const int Waiting = 20;
    private readonly VmBusGuest _guest = new();
    private readonly TestDisk _disk = new(1 << 20);
    private StorageProvider _storage;

    public StorageStateTests()
    {
        _storage = new StorageProvider(_guest.Bus, _guest.Ram.Memory, [(_disk, "serial"u8.ToArray())]);
        _guest.Bus.Start();
    }

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void RequestsOfABusyMachineAreDoneAndAnsweredOnce()
    {
        // The ring for answers fills up, then the places; the rest waits in the ring for requests, and the last ones are not done when the machine is stopped.
        _guest.Open();
        _guest.LeavesPackets = true;
        for (int i = 0; i < Answers + Places + Waiting; i++)
        {
            _disk.Hold = i >= Answers + Places - 10;
            Write(i);
        }

        Assert.Equal((Answers + Places, 10), (_disk.Log.Count, _disk.Held.Count));
        TestDisk after = new(1 << 20) { Content = _disk.Content };
        _guest.GoOn(bus => _storage = new StorageProvider(bus, _guest.Ram.Memory, [(after, "serial"u8.ToArray())]));
        Assert.Equal((Answers + Places, 0, 0), (_disk.Log.Count, _disk.Held.Count, after.Log.Count));
        Assert.Equal(Enumerable.Range(0, Answers + Places + Waiting), TakeAll());
        Assert.Equal(Enumerable.Range(Answers + Places, Waiting).Select(static i => $"Write {i * 512}+512"), after.Log);
        Assert.All(Enumerable.Range(0, Answers + Places + Waiting), i => Assert.Equal(i, BinaryPrimitives.ReadInt32LittleEndian(after.Content.AsSpan(i * 512))));
    }

    // 1023 blocks in four parts.
    private const string WriteSame = "93000000000000000004000003ff0000";

    [Fact]
    public void ABlockThatIsWrittenAgainAndAgainIsDoneBeforeAMachineIsSaved()
    {
        _guest.Open();
        byte[] block = BeginWriteSame();
        TestDisk after = new(1 << 20);
        _guest.GoOn(bus => _storage = new StorageProvider(bus, _guest.Ram.Memory, [(after, "serial"u8.ToArray())]));
        VmBusGuest.Packet answer = _guest.Take()!;
        Assert.Equal((11, 7UL, (byte)1), (answer.Type, answer.Transaction, answer.Data[14]));
        Assert.Null(_guest.Take());
        Assert.Equal((4, 0, 0), (_disk.Log.Count, _disk.Held.Count, after.Log.Count));
        Assert.Equal(1023, CountBlocks(block));
    }

    [Theory]
    [InlineData(4, 0)]
    [InlineData(5, 0)]
    [InlineData(6, 0)]
    [InlineData(6, 1)]
    [InlineData(4, 1)]
    public void AResetEndsABlockThatIsWrittenAgainAndAgainAndIsAnsweredWhenAllHasEnded(int operation, byte unit)
    {
        _guest.Open();
        byte[] block = BeginWriteSame();
        _guest.Put(9, 8, VmBusGuest.Ranges((VmBusGuest.Free + 0x1000, 512)), Request("28000000000000000100", 512, 0));
        byte[] reset = new byte[64];
        (reset[0], reset[19]) = ((byte)operation, unit);
        _guest.Put(6, 9, [], reset);
        bool isMeant = operation != 4 || unit == 0;
        Assert.Equal(!isMeant, _guest.Take() is { Transaction: 9 });

        // The part that is under way; the request beside it; and then the reset has been.
        _disk.CompleteOne();
        if (!isMeant)
        {
            _disk.Drain();
            Assert.Equal(1023, CountBlocks(block));
            return;
        }

        Assert.Equal(256, CountBlocks(block));
        VmBusGuest.Packet answer = _guest.Take()!;
        Assert.Equal((7UL, (byte)0x84, (byte)2, (byte)6, (byte)0x29), (answer.Transaction, answer.Data[14], answer.Data[15], answer.Data[30], answer.Data[40]));
        Assert.Null(_guest.Take());
        _disk.CompleteOne();
        answer = _guest.Take()!;
        Assert.Equal((8UL, (byte)1), (answer.Transaction, answer.Data[14]));
        answer = _guest.Take()!;
        Assert.Equal((11, 9UL, 1u, 0u), (answer.Type, answer.Transaction, answer.Word(0), answer.Word(8)));
        Assert.Equal((2, 0), (_disk.Log.Count, _disk.Held.Count));

        // What uses its place afterwards is written as often as it says.
        _disk.Hold = false;
        _guest.Put(9, 10, VmBusGuest.Ranges((VmBusGuest.Free, 512)), Request(WriteSame, 512, 0));
        Assert.Equal((10UL, (byte)1), _guest.Take() is { } last ? (last.Transaction, last.Data[14]) : default);
        Assert.Equal(1023, CountBlocks(block));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ADriverThatGoesLeavesNothingThatIsWrittenAgainAndAgain(bool resets)
    {
        _guest.Open();
        byte[] block = BeginWriteSame();
        _guest.Put(6, 9, [], [6, .. new byte[63]]);
        if (resets)
        {
            _guest.Reset();
        }
        else
        {
            _guest.Close();
        }

        Assert.Equal((1, 0, 256), (_disk.Log.Count, _disk.Held.Count, CountBlocks(block)));
        Assert.Null(_guest.Take());
    }

    [Fact]
    public void ADiskThatHasGrownIsToldAfterwardsAndOneThatWasToGoStays()
    {
        _guest.Open();
        TestDisk second = new(1 << 16);
        _storage.TryInsert(3, second, "second"u8);
        _guest.Take();
        _storage.RequestRemoval(3);
        _guest.Take();
        _storage.Resize(0, () => _disk.Content = new byte[2 << 20]);
        _guest.Take();
        _guest.GoOn(bus =>
        {
            _storage = new StorageProvider(bus, _guest.Ram.Memory, []);
            Assert.True(_storage.TryAdd(0, _disk, "serial"u8));
            Assert.True(_storage.TryAdd(3, second, "second"u8));
            Assert.False(_storage.TryAdd(3, second, "second"u8));
        });

        // The driver is to look again.
        VmBusGuest.Packet look = _guest.Take()!;
        Assert.Equal((6, 11u), (look.Type, look.Word(0)));
        Assert.Equal((0x84, 6, 0x2a), (Execute(0), _answer[30], _answer[40]));
        Assert.Equal(1, Execute(0));
        Assert.Equal(1, Execute(3));
    }

    [Fact]
    public void WhatWasReadForAChannelThatIsClosedIsWritten()
    {
        _guest.Open();
        _disk.Hold = true;
        _guest.Put(9, 1, VmBusGuest.Ranges((VmBusGuest.Free, 512)), Request("28000000000000000100", 512, 0));
        Assert.Single(_disk.Held);
        _guest.Ram.Memory.TakeDirtyPages(0, new ulong[GuestRam.Length / 4096 / 64]);
        _guest.Close();
        Assert.Empty(_disk.Held);
        ulong[] written = new ulong[GuestRam.Length / 4096 / 64];
        _guest.Ram.Memory.TakeDirtyPages(0, written);
        const int Page = (int)((VmBusGuest.Free - GuestRam.Start) >> 12);
        Assert.True((written[Page / 64] & (1UL << (Page % 64))) != 0, "An incremental snapshot would not have what was read.");
    }

    [Fact]
    public void AStateThatCannotBeIsRefused()
    {
        _guest.Open();
        _guest.LeavesPackets = true;
        for (int i = 0; i < Answers + 2; i++)
        {
            Write(i);
        }

        _guest.RefusesWhatCannotBe("storvsc0", bus => _storage = new StorageProvider(bus, _guest.Ram.Memory, [(_disk, "serial"u8.ToArray())]));
    }

    private byte[] _answer = [];

    private byte Execute(byte unit)
    {
        _guest.Put(9, 1, VmBusGuest.Ranges(), Request("000000000000", 0, unit));
        _answer = _guest.Take()!.Data;
        return _answer[14];
    }

    private byte[] BeginWriteSame()
    {
        byte[] block = new byte[512];
        new Random(5).NextBytes(block);
        Assert.True(_guest.Ram.Memory.TryWrite(VmBusGuest.Free, block));
        _disk.Hold = true;
        _guest.Put(9, 7, VmBusGuest.Ranges((VmBusGuest.Free, 512)), Request(WriteSame, 512, 0));
        Assert.Single(_disk.Held);
        return block;
    }

    private int CountBlocks(byte[] block) => Enumerable.Range(0, 2048).Count(i => _disk.Content.AsSpan(i * 512, 512).SequenceEqual(block));

    private void Write(int number)
    {
        ulong at = VmBusGuest.Free + ((ulong)number * 512);
        _guest.Ram.Set(at, number);
        _guest.Put(9, (ulong)number, VmBusGuest.Ranges((at, 512)), Request($"2a00{number:x8}00000100", 512, 0));
    }

    private static byte[] Request(string command, int length, byte unit)
    {
        byte[] packet = new byte[64];
        (packet[0], packet[19], packet[20], packet[21]) = (3, unit, (byte)(command.Length / 2), 20);
        BinaryPrimitives.WriteInt32LittleEndian(packet.AsSpan(24), length);
        Convert.FromHexString(command).CopyTo(packet, 28);
        return packet;
    }

    // The transactions of all answers, as the guest makes room for them.
    private List<int> TakeAll()
    {
        List<int> all = [];
        _guest.LeavesPackets = false;
        for (int before = -1; before != all.Count;)
        {
            before = all.Count;
            while (_guest.Take() is { } packet)
            {
                Assert.Equal((11, (byte)1), (packet.Type, packet.Data[14]));
                all.Add((int)packet.Transaction);
            }

            _guest.Signal();
        }

        return all;
    }
}
