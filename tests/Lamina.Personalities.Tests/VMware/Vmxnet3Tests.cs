using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Backends;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.VMware.Vmxnet3;

namespace Lamina.Personalities.Tests.VMware;

/// <summary>The card as a driver sees it, good and hostile.</summary>
public sealed class Vmxnet3Tests : IDisposable
{
    private const ulong Shared = GuestRam.Start;
    private const ulong Queues = GuestRam.Start + 0x1000;
    private const ulong TxRing = GuestRam.Start + 0x2000;
    private const ulong TxCompletions = GuestRam.Start + 0x3000;
    private const ulong RxRing = GuestRam.Start + 0x4000;
    private const ulong RxCompletions = GuestRam.Start + 0x5000;
    private const ulong Data = GuestRam.Start + 0x1_0000;
    private const uint RingSize = 32;
    private readonly GuestRam _ram = new();
    private readonly RecordingMessages _messages = new();
    private readonly TestNetwork _wire = new();
    private readonly AddressSpace _mmio = new(1UL << 40, new CheckedLock());
    private readonly Vmxnet3Device _card;

    public Vmxnet3Tests()
    {
        _card = new Vmxnet3Device("card", new CheckedLock(), new CheckedLock(), new CheckedLock(), _ram.Memory, _messages, _wire, [2, 0, 0, 0, 0, 1]);
        _card.Function.Attach(new NoPins(), 1, new AddressSpace(65536, new CheckedLock()), _mmio);
        _card.Function.WriteConfiguration(0x10, [0, 0, 0, 0xe0, 0, 0x10, 0, 0xe0]);
        _card.Function.WriteConfiguration(4, [6, 0]);
        _card.Start();
    }

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void ItSaysWhatItIs()
    {
        Assert.Equal((1u, 1u), (ReadControl(0), ReadControl(8)));
        Assert.Equal((2u, 0x100u), (Command(Vmxnet3Command.GetPermanentAddressLow), Command(Vmxnet3Command.GetPermanentAddressHigh)));
        Assert.Equal(0x2710_0001u, Command(Vmxnet3Command.GetLink));
        Assert.Equal(0u, Command(Vmxnet3Command.GetInterruptConfiguration));
    }

    [Fact]
    public void APacketInPiecesIsSentAndCompleted()
    {
        Assert.Equal(0u, Activate());
        byte[] frame = Frames.CreateTcp(100);
        _ram.Memory.TryWrite(Data, frame);
        PutTx(0, Data, 60, 0, generation: true);
        PutTx(1, Data + 60, (uint)frame.Length - 60, 1 << 12, generation: true);
        Kick();
        Assert.Equal(frame, Assert.Single(_wire.Sent)[INetworkBackend.HeaderLength..]);
        Assert.Equal((1u, 0x8000_0000u), (_ram.Get<uint>(TxCompletions), _ram.Get<uint>(TxCompletions + 12)));
        Command(Vmxnet3Command.GetStatistics);
        Assert.Equal((1UL, (ulong)frame.Length), (_ram.Get<ulong>(Queues + 104), _ram.Get<ulong>(Queues + 112)));
    }

    [Fact]
    public void RingsGoRoundWithTheirGeneration()
    {
        Activate();
        _ram.Memory.TryWrite(Data, Frames.CreateTcp(10));
        for (uint i = 0; i < 3 * RingSize; i++)
        {
            PutTx(i % RingSize, Data, 64, 1 << 12, generation: i / RingSize % 2 == 0);
            Kick();
            Kick();
            Assert.Equal((int)i + 1, _wire.Sent.Count);
        }
    }

    [Fact]
    public void SegmentationIsDone()
    {
        Activate();
        byte[] frame = Frames.CreateTcp(3000);
        _ram.Memory.TryWrite(Data, frame);
        PutTx(0, Data, (uint)frame.Length, (1 << 12) | (3 << 10) | Frames.HeaderLength, generation: true, offload: 1400);
        Kick();
        Assert.Equal(3, _wire.Sent.Count);
        Assert.All(_wire.Sent, s => Assert.True(Frames.HasRightChecksums(s.AsSpan(INetworkBackend.HeaderLength))));
    }

    [Fact]
    public void APacketArrivesOrWaitsForABuffer()
    {
        Activate();
        byte[] packet = [.. new byte[INetworkBackend.HeaderLength], .. Frames.CreateTcp(100)];
        Assert.False(_wire.Receiver!.TryReceive(packet));
        Assert.Equal(1, _ram.Get<byte>(Queues + 256));
        PutRx(0, Data, 1500, generation: true);
        _mmio.Write(0xe000_0800, new byte[4]);
        Assert.True(_wire.Resumed > 0);
        Assert.Equal(0, _ram.Get<byte>(Queues + 256));
        Assert.True(_wire.Receiver.TryReceive(packet));
        Assert.Equal(packet[INetworkBackend.HeaderLength..], _ram.Get(Data, packet.Length - INetworkBackend.HeaderLength));
        Assert.Equal((0x4000_c000u, 154u, 0x8300_0000u), (_ram.Get<uint>(RxCompletions), _ram.Get<uint>(RxCompletions + 8), _ram.Get<uint>(RxCompletions + 12)));
    }

    [Fact]
    public void WhatADriverGetsWrongStopsItsQueueOrIsRefused()
    {
        Activate();
        PutTx(0, 0xdead_0000, 64, 1 << 12, generation: true);
        Kick();
        Assert.Empty(_wire.Sent);
        Command(Vmxnet3Command.GetQueueStatus);
        Assert.Equal((1, 0x8000_0007u), (_ram.Get<byte>(Queues + 80), _ram.Get<uint>(Queues + 84)));
        Assert.Equal(2u, _ram.Get<uint>(Shared + 696));

        Assert.Equal(1u, Activate(txRing: ulong.MaxValue - 8));
        Assert.Equal(1u, Activate(size: 0));
        Assert.Equal(1u, Activate(size: 1u << 30));
        Assert.Equal(1u, Activate(queueCount: 9));
        Assert.Equal(1u, Activate(queueCount: 0));
        WriteControl(0x18, 0xffff_ffff);
        Assert.Equal(1u, Command(Vmxnet3Command.ActivateDevice));
        Kick();
    }

    [Fact]
    public void GarbageIsSurvived()
    {
        Random random = new(11);
        byte[] junk = new byte[0x5000];
        byte[] packet = new byte[2000];
        for (int i = 0; i < 3000; i++)
        {
            if (i % 20 == 0)
            {
                Activate(queueCount: (byte)random.Next(1, 3));
                random.NextBytes(junk);
                _ram.Memory.TryWrite(TxRing, junk);
            }

            ulong offset = (ulong)random.Next(0x200) * 8;
            _mmio.Write((random.Next(3) == 0 ? 0xe000_1000 : 0xe000_0000) + offset, BitConverter.GetBytes(random.Next(2) == 0 ? random.Next() : random.Next(3)));
            _wire.Receiver!.TryReceive(packet.AsSpan(0, random.Next(12, 2000)));
            _wire.Sent.Clear();
        }
    }

    [Fact]
    public void ItsStateIsTheSameAfterSaveAndRestore()
    {
        Activate();
        PutTx(0, Data, 64, 1 << 12, generation: true);
        Kick();
        _card.Stop();
        StateBag state = new();
        _card.Save(state);
        Vmxnet3Device after = new("card", new CheckedLock(), new CheckedLock(), new CheckedLock(), _ram.Memory, _messages, new TestNetwork(), [2, 0, 0, 0, 0, 1]);
        Assert.True(after.Restore(state));
        StateBag again = new();
        after.Save(again);
        Assert.Equal(state.Describe(), again.Describe());
        state.Integers[34] = RingSize;
        Assert.False(after.Restore(state));
    }

    private uint Activate(ulong txRing = TxRing, uint size = RingSize, byte queueCount = 1)
    {
        _ram.Memory.TryWrite(Shared, new byte[0x6000]);
        _ram.Set(Shared, 3133079265u);
        _ram.Set(Shared + 40, Queues);
        _ram.Set(Shared + 62, queueCount);
        _ram.Set(Shared + 63, (byte)1);
        for (uint i = 0; i < Math.Max((uint)queueCount, 1); i++)
        {
            ulong tx = Queues + (i * 256);
            _ram.Set(tx + 16, txRing);
            _ram.Set(tx + 32, TxCompletions);
            _ram.Set(tx + 56, size);
            _ram.Set(tx + 64, RingSize);
        }

        ulong rx = Queues + (Math.Max((uint)queueCount, 1) * 256);
        _ram.Set(rx + 16, RxRing);
        _ram.Set(rx + 32, RxCompletions);
        _ram.Set(rx + 56, RingSize);
        _ram.Set(rx + 64, RingSize);
        WriteControl(0x10, (uint)Shared);
        WriteControl(0x18, 0);
        return Command(Vmxnet3Command.ActivateDevice);
    }

    private void PutTx(uint index, ulong address, uint length, uint flags, bool generation, uint offload = 0)
    {
        ulong at = TxRing + (index * 16);
        _ram.Set(at, address);
        _ram.Set(at + 12, flags);
        _ram.Set(at + 8, length | (generation ? 1u << 14 : 0) | (offload << 18));
    }

    private void PutRx(uint index, ulong address, uint length, bool generation)
    {
        _ram.Set(RxRing + (index * 16), address);
        _ram.Set(RxRing + (index * 16) + 8, length | (generation ? 1u << 31 : 0));
    }

    private void Kick() => _mmio.Write(0xe000_0600, new byte[4]);

    private void WriteControl(ulong offset, uint value) => _mmio.Write(0xe000_1000 + offset, BitConverter.GetBytes(value));

    private uint ReadControl(ulong offset)
    {
        byte[] value = new byte[4];
        _mmio.Read(0xe000_1000 + offset, value);
        return BitConverter.ToUInt32(value);
    }

    private uint Command(Vmxnet3Command command)
    {
        WriteControl(0x20, (uint)command);
        return ReadControl(0x20);
    }

    private sealed class NoPins : Machine.Pci.IPciPins
    {
        public void SetPin(int device, int pin, bool asserted)
        {
        }

        public void RestorePin(int device, int pin, bool asserted)
        {
        }
    }
}
