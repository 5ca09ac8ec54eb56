using System.Buffers.Binary;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Backends;
using Lamina.Personalities.Network;
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
    private const ulong RxRing2 = GuestRam.Start + 0x6000;
    private const ulong Data = GuestRam.Start + 0x1_0000;
    private const uint RingSize = 32;
    private const uint Body = 1 << 14;
    private const uint ChecksumFeature = 1;
    private const uint ScalingFeature = 2;
    private const uint UntagFeature = 4;
    private const uint Promiscuous = 0x10;
    private const ulong Settings = GuestRam.Start + 0xa_0000;
    private const uint SegmentsFeature = 8;
    private const uint Transport = 34;
    private const NetworkOffloads All = NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4 | NetworkOffloads.SegmentTcp6;
    private readonly GuestRam _ram = new(18);
    private readonly RecordingMessages _messages = new();
    private readonly TestNetwork _wire = new();
    private readonly AddressSpace _mmio = new(1UL << 40, new CheckedLock());
    private readonly Vmxnet3Device _card;
    private uint _arrived;

    public Vmxnet3Tests()
    {
        _card = new Vmxnet3Device("card", new CheckedLock(), new CheckedLock(), new CheckedLock(), _ram.Memory, _messages, _wire, [2, 0, 0, 0, 0, 1]);
        _card.Function.Attach(new NoPins(), 1, new AddressSpace(65536, new CheckedLock()), _mmio);
        Map();
        _card.Start();
    }

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void ItSaysWhatItIs()
    {
        Assert.Equal((3u, 1u), (ReadControl(0), ReadControl(8)));
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
    public void APieceInTwoRegionsOfRamIsSent()
    {
        // The page at Data is the last that is a region of its own.
        const ulong Seam = Data + 0x1000;
        Assert.Equal(0u, Activate());
        byte[] frame = Frames.CreateTcp(100);
        Assert.True(_ram.Memory.TryWrite(Seam - 30, frame.AsSpan(0, 30)) && _ram.Memory.TryWrite(Seam, frame.AsSpan(30)));
        PutTx(0, Seam - 30, (uint)frame.Length, 1 << 12, generation: true);
        Kick();
        Assert.Equal(frame, Assert.Single(_wire.Sent)[INetworkBackend.HeaderLength..]);
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
    public void ADriverThatAddsPacketsWithoutEndHoldsNobodyUp()
    {
        Activate();
        uint added = 0;
        _wire.Sending = () =>
        {
            Assert.True(added < 10 * RingSize, "The card sends on for as long as another processor adds packets, and lets nobody else in.");
            added++;
            PutTx(added % RingSize, Data, 64, 1 << 12, generation: added / RingSize % 2 == 0);
        };
        PutTx(0, Data, 64, 1 << 12, generation: true);
        Kick();
        Assert.Equal((int)RingSize, _wire.Sent.Count);

        // What was added has a kick of its own.
        Kick();
        Assert.Equal(2 * (int)RingSize, _wire.Sent.Count);
    }

    [Theory]
    [InlineData(1400, 3)]
    [InlineData(1, 63)]
    public void SegmentationIsDone(int size, int count)
    {
        Activate();
        byte[] frame = Frames.CreateTcp(3000);
        _ram.Memory.TryWrite(Data, frame);
        PutTx(0, Data, (uint)frame.Length, (1 << 12) | (3 << 10) | Frames.HeaderLength, generation: true, offload: (uint)size);
        Kick();
        Assert.Equal(count, _wire.Sent.Count);
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
    public void SegmentsArriveTogetherIfTheDriverTakesThem()
    {
        TakeSegments();
        byte[] frame = WithChecksums(Frames.CreateTcp(4000));
        PutRx(0, Data, 2048, generation: true);
        PutRx(1, Data + 2048, 2048 | Body, generation: true);
        PutRx(2, Data + 4096, 2048 | Body, generation: true);
        Assert.True(Arrive(frame, segment: 1400));
        Assert.Equal(frame, _ram.Get(Data, frame.Length));

        // Three segments of 1400 bytes, of TCP over IPv4, with good checksums.
        Assert.Equal((0x8000u, 3u, 2048u, 0x842d_0578u), Completion(0));
        Assert.Equal((0x4001u, 3u, 4054u - 2048, 0x842d_0578u), Completion(1));
        Assert.Equal(0u, Completion(2).Last);

        // One of one segment is none of many.
        PutRx(3, Data, 1600, generation: true);
        Assert.True(Arrive(WithChecksums(Frames.CreateTcp(100)), segment: 1400));
        Assert.Equal((0xc003u, 0u, 154u, 0x832d_0000u), Completion(2));
    }

    [Fact]
    public void ALongFrameGoesOnInTheSecondRing()
    {
        TakeSegments(second: true);
        byte[] frame = WithChecksums(Frames.CreateTcp(60_000));
        for (uint i = 0; i < 2; i++)
        {
            PutRx(i, Data + (i * 0x1000), 1536, generation: true);
        }

        for (uint i = 0; i < 14; i++)
        {
            PutRx(i, Data + 0x2000 + (i * 0x1000), 4096 | Body, generation: true, ring: RxRing2);
        }

        // It waits for the last of its buffers, and takes none before.
        Assert.False(Arrive(frame, segment: 1448));
        Assert.Equal((1, 0u), (_ram.Get<byte>(Queues + 256), Completion(0).Last));
        PutRx(14, Data + 0x1_0000, 4096 | Body, generation: true, ring: RxRing2);
        Assert.True(Arrive(frame, segment: 1448));
        byte[] arrived = [.. _ram.Get(Data, 1536), .. _ram.Get(Data + 0x2000, 14 * 4096), .. _ram.Get(Data + 0x1_0000, frame.Length - 1536 - (14 * 4096))];
        Assert.Equal(frame, arrived);
        Assert.Equal((0x8000u, 42u, 1536u, 0x842d_05a8u), Completion(0));
        for (uint i = 0; i < 14; i++)
        {
            // The queue's second number, which is that of its second ring.
            Assert.Equal((0x1_0000u | i, 42u, 4096u, 0x842d_05a8u), Completion(i + 1));
        }

        Assert.Equal((0x1_400eu, 42u, (uint)frame.Length - 1536 - (14 * 4096), 0x842d_05a8u), Completion(15));

        // A small one needs no more than the next head.
        Assert.True(Arrive(WithChecksums(Frames.CreateTcp(10)), segment: 0));
        Assert.Equal((0xc001u, 0u, 64u, 0x832d_0000u), Completion(16));
    }

    [Fact]
    public void BodiesThatAFrameHasNotNeededArePassedOver()
    {
        // A head and two bodies a frame, as drivers put them for large frames.
        Activate();
        for (uint i = 0; i < 6; i++)
        {
            PutRx(i, Data + (i * 2048), 2048 | (i % 3 == 0 ? 0 : Body), generation: true);
        }

        Assert.True(Arrive(Frames.CreateTcp(100), segment: 0));
        Assert.True(Arrive(Frames.CreateTcp(3000), segment: 0));
        Assert.Equal((0x4000_c000u, 0u, 154u, 0x8300_0000u), Completion(0));
        Assert.Equal((0x4000_8003u, 0u, 2048u, 0x8300_0000u), Completion(1));
        Assert.Equal((0x4000_4004u, 0u, 3054u - 2048, 0x8300_0000u), Completion(2));
        Assert.False(Arrive(Frames.CreateTcp(100), segment: 0));
        PutRx(6, Data, 2048, generation: true);
        Assert.True(Arrive(Frames.CreateTcp(100), segment: 0));
        Assert.Equal(0x4000_c006u, Completion(3).First);

        // With heads alone, and no second ring, a longer one never fits.
        PutRx(7, Data, 2048, generation: true);
        PutRx(8, Data, 2048, generation: true);
        Assert.True(Arrive(Frames.CreateTcp(3000), segment: 0));
        Assert.Equal(0u, Completion(4).Last);
    }

    [Fact]
    public void WhatTheDriverDoesNotTakeIsNotAskedForAndDoesNotArrive()
    {
        _wire.Offloads = All;
        byte[] frame = WithChecksums(Frames.CreateTcp(4000));
        TakeSegments();
        Assert.Equal(All, _wire.ReceiveOffloads);
        _ram.Set(Shared + 24, ChecksumFeature);
        Command(Vmxnet3Command.UpdateFeatures);
        Assert.Equal(NetworkOffloads.Checksum, _wire.ReceiveOffloads);
        Command(Vmxnet3Command.QuiesceDevice);
        Assert.Equal(NetworkOffloads.None, _wire.ReceiveOffloads);

        // The first revision has no such completions, and segments need checksums.
        WriteControl(0, 1);
        Activate(features: ChecksumFeature | SegmentsFeature);
        Assert.Equal(NetworkOffloads.Checksum, _wire.ReceiveOffloads);
        WriteControl(0, 2);
        Activate(features: SegmentsFeature);
        Assert.Equal(NetworkOffloads.None, _wire.ReceiveOffloads);

        // What the wire has sent before it was told.
        PutRx(0, Data, 2048, generation: true);
        PutRx(1, Data, 2048 | Body, generation: true);
        PutRx(2, Data, 2048 | Body, generation: true);
        Assert.True(Arrive(frame, segment: 1400));
        Assert.Equal(0u, Completion(0).Last);

        // A driver says how many buffers it takes for one.
        Activate(features: ChecksumFeature | SegmentsFeature, mostParts: 1);
        PutRx(0, Data, 2048, generation: true);
        PutRx(1, Data, 2048 | Body, generation: true);
        Assert.True(Arrive(frame, segment: 1400));
        Assert.Equal(0u, Completion(0).Last);
        Assert.True(Arrive(WithChecksums(Frames.CreateTcp(100)), segment: 0));
        Assert.Equal((0xc000u, 0u, 154u, 0x832d_0000u), Completion(0));

        // Nobody is told of checksums that has not asked.
        Activate();
        PutRx(0, Data, 2048, generation: true);
        Assert.True(Arrive(WithChecksums(Frames.CreateTcp(100)), segment: 0));
        Assert.Equal((0x4000_c000u, 0u, 154u, 0x8300_0000u), Completion(0));

        // Nor is a wire asked for what it does not have.
        _wire.Offloads = NetworkOffloads.Checksum;
        TakeSegments();
        Assert.Equal(NetworkOffloads.Checksum, _wire.ReceiveOffloads);
    }

    [Theory]
    [InlineData(0u, 0x4000_0000u, 0x8300_0000u)]
    [InlineData(ChecksumFeature, 0u, 0x832d_0000u)]
    public void ChecksumsThatWereLeftOutAreMade(uint features, uint first, uint last)
    {
        Activate(features: features);
        byte[] whole = WithChecksums(Frames.CreateTcp(101));
        byte[] frame = WithChecksums(Frames.CreateTcp(101), pseudo: true);

        // Its two bytes are in two buffers.
        PutRx(0, Data, Transport + 17, generation: true);
        PutRx(1, Data + Transport + 17, 1000 | Body, generation: true);
        byte[] header = new byte[INetworkBackend.HeaderLength];
        (header[0], header[6], header[8]) = (1, (byte)Transport, 16);
        Assert.True(_wire.Receiver!.TryReceive((byte[])[.. header, .. frame]));
        Assert.Equal(whole, _ram.Get(Data, frame.Length));
        Assert.Equal((first | 0x8000, 0u, Transport + 17, last), Completion(0));
        Assert.Equal((first | 0x4001, 0u, (uint)frame.Length - Transport - 17, last), Completion(1));
    }

    [Fact]
    public void ChecksumsAreLookedAtWhereNobodyAnswersForThem()
    {
        Activate(features: ChecksumFeature);
        for (uint i = 0; i < 5; i++)
        {
            PutRx(i, Data + (i * 2048), 2048, generation: true);
        }

        byte[] frame = WithChecksums(Frames.CreateTcp(101));
        Assert.True(Arrive(frame, segment: 0));
        Assert.Equal((0xc000u, 0x832d_0000u), (Completion(0).First, Completion(0).Last));

        // A wrong one of TCP is the guest's to find, whoever has made it; but the wire may answer for it.
        frame[^1] ^= 1;
        Assert.True(Arrive(frame, segment: 0));
        Assert.Equal((0x4000_c001u, 0x8300_0000u), (Completion(1).First, Completion(1).Last));
        byte[] header = new byte[INetworkBackend.HeaderLength];
        header[0] = 2;
        Assert.True(_wire.Receiver!.TryReceive((byte[])[.. header, .. frame]));
        Assert.Equal((0xc002u, 0x832d_0000u), (Completion(2).First, Completion(2).Last));
        Assert.Equal(frame, _ram.Get(Data + 4096, frame.Length));

        // So is a wrong one of IP.
        frame[^1] ^= 1;
        frame[24] ^= 1;
        Assert.True(Arrive(frame, segment: 0));
        Assert.Equal((0x4000_c003u, 0x8300_0000u), (Completion(3).First, Completion(3).Last));

        // What is not IP has none.
        Assert.True(Arrive(new byte[60], segment: 0));
        Assert.Equal((0x4000_c004u, 0x8300_0000u), (Completion(4).First, Completion(4).Last));
    }

    [Fact]
    public void ATaggedFrameOfUdpOverIpv6IsLookedAtToo()
    {
        Activate(features: ChecksumFeature);
        byte[] frame = new byte[18 + 40 + 8 + 4];
        frame[12] = 0x81;
        (frame[16], frame[17]) = (0x86, 0xdd);
        Span<byte> network = frame.AsSpan(18);
        (network[0], network[5], network[6]) = (0x60, 12, 17);
        network[8..40].Fill(0xfe);
        Span<byte> datagram = network[40..];
        (datagram[1], datagram[3], datagram[5], datagram[11]) = (1, 2, 12, 9);
        ulong sum = InternetChecksum.Add(network[8..40], 17 + 12);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[6..], (ushort)~InternetChecksum.Fold(InternetChecksum.Add(datagram, sum)));
        PutRx(0, Data, 2048, generation: true);
        Assert.True(Arrive(frame, segment: 0));
        Assert.Equal((0xc000u, 0u, (uint)frame.Length, 0x8313_0000u), Completion(0));
    }

    [Fact]
    public void FramesAreSpreadOverQueuesByTheirHash()
    {
        ReceiveHash hash = new();
        byte[] key = new byte[40];
        new Random(3).NextBytes(key);
        hash.SetKey(key);
        byte[] first = Frames.CreateTcp(10);
        byte[] second = Frames.CreateTcp(10);
        Assert.Equal(HashKinds.Tcp4, hash.Compute(first, HashKinds.All, out uint firstHash));
        uint secondHash;
        do
        {
            // Another port, until it is for another queue.
            second[34]++;
            hash.Compute(second, HashKinds.All, out secondHash);
        }
        while (secondHash % 3 % 2 == firstHash % 3 % 2);
        PutScaling(15, 1, key, [0, 1, 0]);
        ActivateReceive(2, ScalingFeature);
        ulong queueOfFirst = firstHash % 3 % 2;
        Assert.True(Arrive(first, segment: 0));
        Assert.True(Arrive(second, segment: 0));
        Assert.Equal((0x4800_c000u | ((uint)queueOfFirst << 16), firstHash), (ReadQueue(queueOfFirst, 0), ReadQueue(queueOfFirst, 4)));
        Assert.Equal((0x4800_c000u | ((uint)(1 - queueOfFirst) << 16), secondHash), (ReadQueue(1 - queueOfFirst, 0), ReadQueue(1 - queueOfFirst, 4)));

        // What is not IP has no hash, and is for the first queue; addresses alone are another kind.
        Assert.True(Arrive(new byte[60], segment: 0));
        Assert.Equal((0x4000_c001u, 0u), (ReadQueue(0, 16), ReadQueue(0, 20)));
        PutScaling(1, 1, key, [1]);
        Command(Vmxnet3Command.UpdateScalingTable);
        hash.Compute(first, HashKinds.Ip4, out uint addresses);
        Assert.True(Arrive(first, segment: 0));
        Assert.Equal((0x4401_c001u, addresses), (ReadQueue(1, 16), ReadQueue(1, 20)));

        // It is so after the machine was saved.
        StateBag state = new();
        _card.Stop();
        _card.Save(state);
        TestNetwork wire = new();
        Vmxnet3Device after = new("card", new CheckedLock(), new CheckedLock(), new CheckedLock(), _ram.Memory, _messages, wire, [2, 0, 0, 0, 0, 1]);
        Assert.True(after.Restore(state), "The state is taken.");
        after.Start();
        Assert.True(wire.Receiver!.TryReceive((byte[])[.. new byte[INetworkBackend.HeaderLength], .. first]));
        Assert.Equal((0x4401_c002u, addresses), (ReadQueue(1, 32), ReadQueue(1, 36)));
        state.Bytes[20] = [2];
        Assert.False(after.Restore(state));
    }

    [Theory]
    [InlineData(2, 40, 3, 0)] // Another function.
    [InlineData(1, 39, 3, 0)] // A key of another length.
    [InlineData(1, 40, 0, 0)] // A table of no length, or too long.
    [InlineData(1, 40, 129, 0)]
    [InlineData(1, 40, 3, 2)] // A queue that there is not.
    public void SettingsOfSpreadingThatCannotBeLeaveAllWithTheFirstQueue(ushort function, ushort keyLength, ushort count, byte queue)
    {
        PutScaling(15, 1, new byte[40], [1, 1, 1]);
        ActivateReceive(2, ScalingFeature);
        PutScaling(15, function, new byte[40], [1, 1, queue == 0 ? (byte)1 : queue]);
        _ram.Set(Settings + 4, keyLength);
        _ram.Set(Settings + 6, count);
        Command(Vmxnet3Command.UpdateScalingTable);
        Assert.True(Arrive(Frames.CreateTcp(10), segment: 0));
        Assert.Equal((0x4000_c000u, 0u), (ReadQueue(0, 0), ReadQueue(1, 0)));
    }

    [Fact]
    public void TagsAreTakenOutAndNetworksThatNobodyWantsDoNotArrive()
    {
        Activate(features: UntagFeature | ChecksumFeature);
        WriteControl(0x28, 0x0202_0202);
        WriteControl(0x30, 0x0202);
        byte[] plain = WithChecksums(Frames.CreateTcp(10));
        byte[] frame = [.. plain[..12], 0x81, 0, 0x60, 5, .. plain[12..]];
        PutRx(0, Data, 2048, generation: true);
        PutRx(1, Data + 2048, 2048, generation: true);
        PutRx(2, Data + 4096, 2048, generation: true);
        Assert.True(Arrive(frame, segment: 0));
        Assert.Equal(plain, _ram.Get(Data, plain.Length));
        Assert.Equal((0xc000u, 0x6005_8000u | (uint)plain.Length), (Completion(0).First, Completion(0).Length));
        Assert.NotEqual(0u, Completion(0).Last & (1 << 16));

        // A driver that names networks gets these, and what has no tag.
        _ram.Set(Shared + 120, 1u);
        Command(Vmxnet3Command.UpdateReceiveMode);
        Assert.True(Arrive(frame, segment: 0));
        Assert.Equal(0u, Completion(1).Last);
        Assert.True(Arrive(plain, segment: 0));
        Assert.Equal((0xc001u, (uint)plain.Length), (Completion(1).First, Completion(1).Length));
        _ram.Set(Shared + 136, 1u << 5);
        Command(Vmxnet3Command.UpdateVlanFilters);
        Assert.True(Arrive(frame, segment: 0));
        Assert.Equal(0x6005_8000u | (uint)plain.Length, Completion(2).Length);
        StateBag state = new();
        _card.Stop();
        _card.Save(state);
        Assert.Equal((0x20, 0UL), (state.Bytes[16][0], state.Integers[17]));
        Assert.True(_card.Restore(state), "The state is taken.");
        Assert.False(_card.Restore(state.Without(16)));
    }

    [Fact]
    public void OnlyFramesForAddressesThatTheDriverWantsArrive()
    {
        const ulong Groups = GuestRam.Start + 0xb_0000;
        byte[] own = [2, 0, 0, 0, 0, 1];
        byte[] other = [2, 0, 0, 0, 0, 2];
        byte[] everybody = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        byte[] listed = [0x33, 0x33, 0, 0, 0, 1];
        byte[] unlisted = [0x33, 0x33, 0, 0, 0, 2];
        Activate();
        SetMode(0);
        Assert.False(Arrives(own) || Arrives(everybody) || Arrives(listed), "A driver that has said nothing gets nothing.");
        SetMode(1);
        Assert.True(Arrives(own));
        Assert.False(Arrives(other) || Arrives(everybody) || Arrives(listed));
        SetMode(4);
        Assert.True(Arrives(everybody));
        Assert.False(Arrives(own) || Arrives(listed));

        // The list is copied: its memory is another's as soon as the driver has told of it.
        _ram.Memory.TryWrite(Groups, (byte[])[.. unlisted, .. listed]);
        _ram.Set(Shared + 124, (ushort)12);
        _ram.Set(Shared + 128, Groups);
        SetMode(2);
        Assert.False(Arrives(listed));
        Command(Vmxnet3Command.UpdateAddressFilters);
        _ram.Memory.TryWrite(Groups, (byte[])[.. other, .. other]);
        Assert.True(Arrives(listed) && Arrives(unlisted));
        _ram.Set(Shared + 124, (ushort)6);
        Command(Vmxnet3Command.UpdateAddressFilters);
        Assert.False(Arrives(listed) || Arrives(everybody) || Arrives(own));
        SetMode(8);
        Assert.True(Arrives(listed) && Arrives(unlisted));
        Assert.False(Arrives(everybody));

        // More than there is room for, or a list that is nowhere, is all of them.
        SetMode(2);
        _ram.Set(Shared + 124, ushort.MaxValue);
        Command(Vmxnet3Command.UpdateAddressFilters);
        Assert.True(Arrives(listed));
        _ram.Set(Shared + 124, (ushort)0);
        Command(Vmxnet3Command.UpdateAddressFilters);
        Assert.False(Arrives(listed));
        _ram.Set(Shared + 124, (ushort)6);
        _ram.Set(Shared + 128, ulong.MaxValue);
        Command(Vmxnet3Command.UpdateAddressFilters);
        Assert.True(Arrives(listed));
        SetMode(Promiscuous);
        Assert.True(Arrives(other));
    }

    [Fact]
    public void TheDriverMayTakeAnotherAddressUntilTheReset()
    {
        byte[] own = [2, 0, 0, 0, 0, 1];
        byte[] other = [2, 0, 0, 0, 0, 2];
        Activate();
        SetMode(1);
        WriteControl(0x28, BitConverter.ToUInt32(other));
        WriteControl(0x30, BitConverter.ToUInt16(other, 4));
        Assert.Equal((2u, 0x200u), (ReadControl(0x28), ReadControl(0x30)));
        Assert.Equal((2u, 0x100u), (Command(Vmxnet3Command.GetPermanentAddressLow), Command(Vmxnet3Command.GetPermanentAddressHigh)));
        Assert.True(Arrives(other));
        Assert.False(Arrives(own));

        // It stays when the driver begins anew, and in another machine.
        _arrived = 0;
        Activate();
        SetMode(1);
        Assert.True(Arrives(other));
        StateBag state = new();
        _card.Save(state);
        Assert.True(_card.Restore(state), "The state is taken.");
        Assert.True(Arrives(other));
        Assert.False(Arrives(own));
        Assert.False(_card.Restore(state.Without(25)));
        Assert.False(_card.Restore(state.Without(26)));
        _card.Reset();
        Map();
        Assert.Equal(0x100u, ReadControl(0x30));
    }

    [Fact]
    public void TheDriverHearsOfItsLinkWhenTheMachineRuns()
    {
        const ulong Events = Shared + 696;
        Activate();
        _wire.Receiver!.OnLinkChanged(false);
        Assert.Equal((4u, 0u), (_ram.Get<uint>(Events), Command(Vmxnet3Command.GetLink)));
        WriteControl(0x40, 4);
        Assert.Equal(0u, _ram.Get<uint>(Events));

        // Nothing touches the memory of a machine that stands still; what it did not hear, it hears when it goes on.
        _card.Stop();
        _wire.Receiver.OnLinkChanged(true);
        Assert.Equal(0u, _ram.Get<uint>(Events));
        _card.Start();
        Assert.Equal(4u, _ram.Get<uint>(Events));
        WriteControl(0x40, 4);

        // One that was saved with its link down has another wire.
        _wire.Receiver.OnLinkChanged(false);
        WriteControl(0x40, 4);
        _card.Stop();
        StateBag state = new();
        _card.Save(state);
        Vmxnet3Device after = new("card", new CheckedLock(), new CheckedLock(), new CheckedLock(), _ram.Memory, _messages, new TestNetwork(), [2, 0, 0, 0, 0, 1]);
        Assert.True(after.Restore(state));
        Assert.Equal(0u, _ram.Get<uint>(Events));
        after.Start();
        Assert.Equal(4u, _ram.Get<uint>(Events));
    }

    [Fact]
    public void ACardThatGoesLeavesItsWireAlone()
    {
        // While one processor looks after the wire, another ejects the card, whose wire is closed then.
        bool resuming = false;
        bool wasInUse = false;
        using ManualResetEventSlim stopped = new();
        Thread? other = null;
        Activate();
        _wire.Stopping = () =>
        {
            wasInUse = Volatile.Read(ref resuming);
            stopped.Set();
        };
        _wire.Resuming = () =>
        {
            Volatile.Write(ref resuming, true);
            other = new Thread(_card.Stop);
            other.Start();
            stopped.Wait(100);
            Volatile.Write(ref resuming, false);
        };
        Command(Vmxnet3Command.UpdateReceiveMode);
        other!.Join();
        Assert.True(stopped.IsSet);
        Assert.False(wasInUse, "The wire is closed while a processor is using it.");

        // Whoever comes later finds the card gone.
        int before = _wire.Resumed;
        _wire.Resuming = null;
        Command(Vmxnet3Command.UpdateReceiveMode);
        _mmio.Write(0xe000_0800, new byte[4]);
        Assert.Equal(before, _wire.Resumed);
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
                Activate(queueCount: (byte)random.Next(1, 3), second: random.Next(2) == 0, mostParts: (ushort)random.Next(4));
                random.NextBytes(junk);
                _ram.Memory.TryWrite(TxRing, junk);
                WriteControl(0, (uint)random.Next(4));
            }

            if (i % 5 == 0)
            {
                // Some of it is near what a driver and a wire would say.
                _ram.Set(Shared + 24, random.Next(2) == 0 ? ChecksumFeature | SegmentsFeature : (uint)random.Next());
                Command(Vmxnet3Command.UpdateFeatures);
                PutRx((uint)random.Next((int)RingSize), Data + (uint)random.Next(0x1000), (uint)random.Next(0x8000), random.Next(2) == 0, random.Next(2) == 0 ? RxRing : RxRing2);
                WithChecksums(Frames.CreateTcp(random.Next(1900))).CopyTo(packet, INetworkBackend.HeaderLength);
                (packet[0], packet[1], packet[5]) = ((byte)random.Next(4), (byte)random.Next(6), (byte)random.Next(6));
                random.NextBytes(packet.AsSpan(6, random.Next(5)));
                packet[random.Next(packet.Length)] ^= (byte)random.Next(256);
            }

            ulong offset = (ulong)random.Next(0x200) * 8;
            _mmio.Write((random.Next(3) == 0 ? 0xe000_1000 : 0xe000_0000) + offset, BitConverter.GetBytes(random.Next(2) == 0 ? random.Next() : random.Next(3)));
            _wire.Receiver!.TryReceive(packet.AsSpan(0, random.Next(0, 2000)));
            _wire.Sent.Clear();
        }
    }

    [Fact]
    public void ItsStateIsTheSameAfterSaveAndRestore()
    {
        TakeSegments(mostParts: 3);
        PutTx(0, Data, 64, 1 << 12, generation: true);
        Kick();
        _card.Stop();
        StateBag state = new();
        _card.Save(state);
        TestNetwork wire = new(All);
        Vmxnet3Device after = new("card", new CheckedLock(), new CheckedLock(), new CheckedLock(), _ram.Memory, _messages, wire, [2, 0, 0, 0, 0, 1]);
        Assert.True(after.Restore(state));
        StateBag again = new();
        after.Save(again);
        Assert.Equal(state.Describe(), again.Describe());

        // It goes on to take as many segments as before, in as many buffers.
        after.Start();
        Assert.Equal(All, wire.ReceiveOffloads);
        byte[] header = new byte[INetworkBackend.HeaderLength];
        (header[0], header[1], header[4], header[5]) = (1, 1, 1400 & 0xff, 1400 >> 8);
        for (uint i = 0; i < 4; i++)
        {
            PutRx(i, Data, 1000 | (i == 0 ? 0 : Body), generation: true);
        }

        Assert.True(wire.Receiver!.TryReceive((byte[])[.. header, .. WithChecksums(Frames.CreateTcp(3500))]));
        Assert.Equal(0u, Completion(0).Last);
        Assert.True(wire.Receiver.TryReceive((byte[])[.. header, .. WithChecksums(Frames.CreateTcp(2800))]));
        Assert.Equal((0x8000u, 2u, 1000u, 0x842d_0578u), Completion(0));

        // A state of before there was any of this is that of a driver that takes none of it.
        state.Integers.Remove(11);
        state.Bytes.Remove(16);
        state.Integers.Remove(17);
        state.Bytes.Remove(20);
        state.Bytes.Remove(21);
        state.Integers.Remove(22);
        state.Integers.Remove(24);
        state.Bytes.Remove(25);
        state.Bytes.Remove(26);
        state.Integers.Remove(27);
        Vmxnet3Device old = new("card", new CheckedLock(), new CheckedLock(), new CheckedLock(), _ram.Memory, _messages, wire, [2, 0, 0, 0, 0, 1]);
        Assert.True(old.Restore(state));
        old.Start();
        Assert.Equal(NetworkOffloads.None, wire.ReceiveOffloads);
        state.Integers[34] = RingSize;
        Assert.False(after.Restore(state));
    }

    private uint Activate(ulong txRing = TxRing, uint size = RingSize, byte queueCount = 1, uint features = 0, ushort mostParts = 0, bool second = false)
    {
        _ram.Memory.TryWrite(Shared, new byte[0x7000]);
        _ram.Set(Shared, 3133079265u);
        _ram.Set(Shared + 24, features);
        _ram.Set(Shared + 40, Queues);
        _ram.Set(Shared + 60, mostParts);
        _ram.Set(Shared + 120, Promiscuous);
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
        _ram.Set(rx + 24, RxRing2);
        _ram.Set(rx + 56, RingSize);
        _ram.Set(rx + 60, second ? RingSize : 0);
        _ram.Set(rx + 64, RingSize);
        WriteControl(0x10, (uint)Shared);
        WriteControl(0x18, 0);
        return Command(Vmxnet3Command.ActivateDevice);
    }

    private static ulong RxQueueRing(ulong queue) => GuestRam.Start + 0x8_0000 + (queue * 0x1000);

    private static ulong RxQueueCompletions(ulong queue) => GuestRam.Start + 0x9_0000 + (queue * 0x1000);

    // As many queues as that to receive, each with buffers.
    private void ActivateReceive(byte queues, uint features)
    {
        Activate(features: features);
        _ram.Set(Shared + 63, queues);
        _ram.Set(Shared + 656, Settings);
        for (uint i = 0; i < queues; i++)
        {
            ulong description = Queues + ((1 + i) * 256);
            _ram.Memory.TryWrite(RxQueueRing(i), new byte[0x1000]);
            _ram.Memory.TryWrite(RxQueueCompletions(i), new byte[0x1000]);
            _ram.Set(description + 16, RxQueueRing(i));
            _ram.Set(description + 32, RxQueueCompletions(i));
            _ram.Set(description + 56, RingSize);
            _ram.Set(description + 60, 0u);
            _ram.Set(description + 64, RingSize);
            for (uint place = 0; place < 4; place++)
            {
                PutRx(place, Data + (i * 0x4000) + (place * 2048), 2048, generation: true, ring: RxQueueRing(i));
            }
        }

        Assert.Equal(0u, Command(Vmxnet3Command.ActivateDevice));
    }

    private void SetMode(uint mode)
    {
        _ram.Set(Shared + 120, mode);
        Command(Vmxnet3Command.UpdateReceiveMode);
    }

    // Whether a frame for an address goes into the only buffer that there is.
    private bool Arrives(byte[] to)
    {
        uint place = _arrived % RingSize;
        PutRx(place, Data, 2048, generation: _arrived / RingSize % 2 == 0);
        _ram.Set(RxCompletions + (place * 16) + 8, 0u);
        byte[] frame = Frames.CreateTcp(100);
        to.CopyTo(frame, 0);
        Assert.True(Arrive(frame, 0));
        bool arrived = Completion(place).Length != 0;
        _arrived += arrived ? 1u : 0;
        return arrived;
    }

    private void Map()
    {
        _card.Function.WriteConfiguration(0x10, [0, 0, 0, 0xe0, 0, 0x10, 0, 0xe0]);
        _card.Function.WriteConfiguration(4, [6, 0]);
    }

    private uint ReadQueue(ulong queue, ulong offset) => _ram.Get<uint>(RxQueueCompletions(queue) + offset);

    private void PutScaling(ushort kinds, ushort function, byte[] key, byte[] table)
    {
        _ram.Set(Settings, kinds);
        _ram.Set(Settings + 2, function);
        _ram.Set(Settings + 4, (ushort)key.Length);
        _ram.Set(Settings + 6, (ushort)table.Length);
        _ram.Memory.TryWrite(Settings + 8, key);
        _ram.Memory.TryWrite(Settings + 48, table);
    }

    private void PutTx(uint index, ulong address, uint length, uint flags, bool generation, uint offload = 0)
    {
        ulong at = TxRing + (index * 16);
        _ram.Set(at, address);
        _ram.Set(at + 12, flags);
        _ram.Set(at + 8, length | (generation ? 1u << 14 : 0) | (offload << 18));
    }

    private void PutRx(uint index, ulong address, uint length, bool generation, ulong ring = RxRing)
    {
        _ram.Set(ring + (index * 16), address);
        _ram.Set(ring + (index * 16) + 8, length | (generation ? 1u << 31 : 0));
    }

    private void TakeSegments(bool second = false, ushort mostParts = 18)
    {
        WriteControl(0, 2);
        Assert.Equal(0u, Activate(features: ChecksumFeature | SegmentsFeature, second: second, mostParts: mostParts));
    }

    // A frame of the wire, or many segments of it that were left together.
    private bool Arrive(byte[] frame, ushort segment)
    {
        byte[] header = new byte[INetworkBackend.HeaderLength];
        (header[0], header[1], header[4], header[5]) = segment == 0 ? default : ((byte)1, (byte)1, (byte)segment, (byte)(segment >> 8));
        return _wire.Receiver!.TryReceive((byte[])[.. header, .. frame]);
    }

    private (uint First, uint Count, uint Length, uint Last) Completion(uint index)
    {
        ulong at = RxCompletions + (index * 16);
        return (_ram.Get<uint>(at), _ram.Get<uint>(at + 4), _ram.Get<uint>(at + 8), _ram.Get<uint>(at + 12));
    }

    // Or with the sum of the pseudo-header in the place of TCP's.
    private static byte[] WithChecksums(byte[] frame, bool pseudo = false)
    {
        Assert.True(TcpFrame.TryParse(frame, out TcpFrame headers));
        Span<byte> network = frame.AsSpan(headers.Network, headers.Transport - headers.Network);
        InternetChecksum.Complete(network, 10);
        Span<byte> transport = frame.AsSpan(headers.Transport);
        BinaryPrimitives.WriteUInt16BigEndian(transport[16..], (ushort)headers.SumPseudoHeader(frame, transport.Length));
        if (!pseudo)
        {
            InternetChecksum.Complete(transport, 16);
        }

        return frame;
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
