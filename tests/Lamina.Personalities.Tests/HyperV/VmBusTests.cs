using System.Buffers.Binary;
using Lamina.Personalities.HyperV;
using Lamina.Personalities.HyperV.Storage;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>The bus and its storage as a driver sees them, good and hostile.</summary>
public sealed class VmBusTests : IDisposable
{
    private const ulong MessagePage = GuestRam.Start;
    private const ulong EventPage = GuestRam.Start + 0x1000;
    private const ulong Out = GuestRam.Start + 0x2000;
    private const ulong In = GuestRam.Start + 0x6000;
    private const ulong Data = GuestRam.Start + 0x1_0000;
    private const uint RingSize = 0x3000;

    // The first sub-channel's number.
    private const uint Second = 33;
    private readonly TestHost _host = new();
    private readonly TestDisk _disk = new(1 << 20);
    private readonly HyperVPersonality _hypervisor;
    private readonly VmBusController _bus;
    private readonly IPartitionPort _port;
    private uint _sent;
    private readonly StorageProvider _storage;
    private uint _received;

    public VmBusTests()
    {
        _hypervisor = new HyperVPersonality(_host.CreateSettings());
        _bus = new VmBusController("vmbus", new CheckedLock(), _host.Ram.Memory, _hypervisor);
        _storage = new StorageProvider(_bus, _host.Ram.Memory, [(_disk, "serial"u8.ToArray())]);
        _port = _bus;
        _hypervisor.TryWriteMsr(0, 0, HyperVMsr.MessagePage, MessagePage | 1);
        _hypervisor.TryWriteMsr(0, 0, HyperVMsr.EventFlagsPage, EventPage | 1);
        _hypervisor.TryWriteMsr(0, 0, HyperVMsr.FirstSint + 2, 0x45);
        _hypervisor.TryWriteMsr(0, 0, HyperVMsr.SControl, 1);
        _bus.Start();
    }

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData(0x5_0003u, 1)]
    [InlineData(0x2_0004u, 1)]
    [InlineData(0x6_0000u, 0)]
    [InlineData(0x0_000du, 0)]
    public void VersionsAreNegotiated(uint version, byte supported)
    {
        Post(14, version, 0, 0, 0, 0, 0, 0, 0);
        byte[] answer = Receive();
        Assert.Equal((15, supported), (answer[0], answer[8]));
        Post(3);
        Assert.Equal(supported, _host.Ram.Get<uint>(MessagePage + 512) == 0 ? 0 : 1);
    }

    [Fact]
    public void ADiskIsOfferedOpenedReadAndWritten()
    {
        Open();
        Assert.Equal(0u, Control(7));
        Assert.Equal(0u, Control(9, 0x0602));
        Assert.NotEqual(0u, Control(9, 0x0900));
        Assert.Equal(0u, Control(10));
        Assert.Equal(255u * 4096, BinaryPrimitives.ReadUInt32LittleEndian(_answer.AsSpan(24)));
        Assert.Equal(0u, Control(8));
        new Random(1).NextBytes(_disk.Content);
        Execute("28000000000100000f00", 15 * 512, Data + 0x100);
        Assert.Equal((1, 0, 15 * 512), (_answer[14], _answer[15], BinaryPrimitives.ReadInt32LittleEndian(_answer.AsSpan(24))));
        Assert.Equal(_disk.Content.AsSpan(512, 15 * 512).ToArray(), _host.Ram.Get(Data + 0x100, 15 * 512));
        Execute("2a000000000800000100", 512, Data);
        Assert.Equal(_host.Ram.Get(Data, 512), _disk.Content.AsSpan(4096, 512).ToArray());
        Assert.NotEqual(0u, _host.Ram.Get<uint>(EventPage + 512));
    }

    [Fact]
    public void ErrorsAndAbsentUnitsAreTold()
    {
        Open();
        Execute("2800ffffff0000000100", 512, Data);
        Assert.Equal((0x84, 2, 18, 0x70, 5), (_answer[14], _answer[15], _answer[21], _answer[28], _answer[30]));
        Execute("120000002400", 36, Data, unit: 5);
        Assert.Equal((1, 0x7f), (_answer[14], _host.Ram.Get<byte>(Data)));
        Execute("a00000000000000000100000", 16, Data, target: 1);
        Assert.Equal((1, 0u), (_answer[14], _host.Ram.Get<uint>(Data)));
        Execute("28000000000000000100", 512, 0xdead_0000);
        Assert.Equal(6, _answer[14]);
    }

    [Fact]
    public void NeitherEndInterruptsTheOtherWhileItReads()
    {
        Open();
        _host.Ram.Set(In + 8, 1u);
        Execute("000000000000", 0, Data);
        Assert.Equal(0u, _host.Ram.Get<uint>(EventPage + 512));
        _host.Ram.Set(In + 8, 0u);
        Execute("000000000000", 0, Data);
        Assert.Equal(2u, _host.Ram.Get<uint>(EventPage + 512));
        _host.Ram.Set(EventPage + 512, 0u);

        // The host does not want to be interrupted while it looks, and does when it has seen everything.
        List<uint> masks = [];
        _disk.Submitting = () => masks.Add(_host.Ram.Get<uint>(Out + 8));
        Execute("28000000000000000100", 512, Data);
        Assert.Equal([1u], masks);
        Assert.Equal(0u, _host.Ram.Get<uint>(Out + 8));
    }

    [Fact]
    public void ADriverThatWaitsForRoomHearsOfIt()
    {
        Open();
        _host.Ram.Set(In + 8, 1u);
        _host.Ram.Set(Out + 12, RingSize);
        Execute("000000000000", 0, Data);
        Assert.Equal(0u, _host.Ram.Get<uint>(EventPage + 512));
        _host.Ram.Set(Out + 12, 1024u);
        Execute("000000000000", 0, Data);
        Assert.Equal(2u, _host.Ram.Get<uint>(EventPage + 512));
    }

    [Fact]
    public void AChannelsEventsGoToTheProcessorThatTheDriverNames()
    {
        const ulong Other = GuestRam.Start + 0x30_0000;
        _hypervisor.TryWriteMsr(1, 0, HyperVMsr.EventFlagsPage, Other | 1);
        _hypervisor.TryWriteMsr(1, 0, HyperVMsr.FirstSint + 2, 0x46);
        _hypervisor.TryWriteMsr(1, 0, HyperVMsr.SControl, 1);
        Open();
        Post(22, 1, 1);
        byte[] answer = Receive();
        Assert.Equal((24u, 1u, 0u), (BitConverter.ToUInt32(answer), BitConverter.ToUInt32(answer, 8), BitConverter.ToUInt32(answer, 12)));
        Execute("000000000000", 0, Data);
        Assert.Equal((0u, 2u), (_host.Ram.Get<uint>(EventPage + 512), _host.Ram.Get<uint>(Other + 512)));
        Assert.Equal((0xfee0_1000UL, 0x46u), _host.Messages.Sent[^1]);

        // One that there is not is the first.
        Post(22, 1, 99);
        Receive();
        Execute("000000000000", 0, Data);
        Assert.Equal(2u, _host.Ram.Get<uint>(EventPage + 512));
    }

    [Fact]
    public void ABusThatIsUnloadedHasNoChannelsAndConnectsAnew()
    {
        Open();
        _disk.Hold = true;
        Put(Request("28000000000000000100", 512), Data, 512);
        Signal();
        uint before = _host.Ram.Get<uint>(In);
        Post(16);
        Assert.Equal(17, Receive()[0]);
        Assert.Empty(_disk.Held);
        Assert.Equal(before, _host.Ram.Get<uint>(In));
        Post(3);
        Assert.Equal(0u, _host.Ram.Get<uint>(MessagePage + 512));
        _disk.Hold = false;
        Open();
        Execute("000000000000", 0, Data);
        Assert.Equal(1, _answer[14]);
    }

    [Fact]
    public void RequestsThatEndLaterAreAnsweredAndMoreThanPlacesWait()
    {
        Open();
        _disk.Hold = true;
        for (int i = 0; i < 70; i++)
        {
            Put(Request("28000000000000000100", 512), Data, 512);
        }

        Signal();
        Assert.Equal(64, _disk.Held.Count);
        int answers = 0;
        while (_disk.Held.Count > 0)
        {
            _disk.CompleteOne();
            answers += TryTake(out _) ? 1 : 0;
        }

        Assert.Equal(70, answers);
    }

    [Fact]
    public void AClosedChannelIsNotWrittenTo()
    {
        Open();
        _disk.Hold = true;
        Put(Request("28000000000000000100", 512), Data, 512);
        Signal();
        uint before = _host.Ram.Get<uint>(In);
        Post(7, 1);
        Assert.Empty(_disk.Held);
        Assert.Equal(before, _host.Ram.Get<uint>(In));
        Post(11, 1, 77);
        Assert.Equal(12, Receive()[0]);
        Assert.False(_port.TrySignalEvent(5));
    }

    [Fact]
    public void ListsAndRingsThatCannotBeAreRefused()
    {
        Connect();
        Assert.Equal(0xc000_0001u, Gpadl(1, 1, pages: 8, ranges: 2));
        Assert.Equal(0xc000_0001u, Gpadl(0, 1, pages: 8));
        Assert.Equal(0xc000_0001u, Gpadl(1, 0, pages: 8));
        Assert.Equal(0xc000_0001u, Gpadl(1, 1, pages: 5000));
        Assert.Equal(0u, Gpadl(1, 1, pages: 8));
        Assert.Equal(0xc000_0001u, Gpadl(1, 1, pages: 8));
        Assert.NotEqual(0u, OpenChannel(1, 2, 4));
        Assert.NotEqual(0u, OpenChannel(2, 1, 4));
        Assert.NotEqual(0u, OpenChannel(1, 1, 8));
        Assert.NotEqual(0u, OpenChannel(1, 1, 0));
        Assert.Equal(0u, Gpadl(1, 2, pages: 8, frame: 1UL << 50));
        Assert.NotEqual(0u, OpenChannel(1, 2, 4));
        Assert.Equal(0u, OpenChannel(1, 1, 4));
    }

    [Theory]
    [InlineData(0xffff_fff8u, 0x20u)]
    [InlineData(RingSize, 0x20u)]
    [InlineData(7u, 0x20u)]
    [InlineData(0x1000u, 0x8_0000u)]
    [InlineData(0x10u, 0x20u)]
    [InlineData(0x1000u, 0u)]
    public void ABrokenRingClosesItsChannel(uint writeIndex, uint lengths)
    {
        Open();
        _host.Ram.Set(Out + 0x1000, 6 | ((ulong)2 << 16) | ((ulong)(lengths / 8) << 32));
        _host.Ram.Set(Out, writeIndex);
        Signal();
        _host.Ram.Set(Out, 0u);
        Assert.NotEqual(0u, Control(7, expectAnswer: false));
    }

    [Fact]
    public void GarbageIsSurvived()
    {
        Random random = new(13);
        byte[] message = new byte[240];
        for (int i = 0; i < 5000; i++)
        {
            random.NextBytes(message);
            message.AsSpan(1, 3).Clear();
            message[0] = (byte)random.Next(26);
            if (random.Next(2) == 0)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(8), random.Next(4) == 0 ? 0x5_0003u : 1u);
                BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(12), (uint)random.Next(4));
                BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(16), (uint)random.Next(1, 3) | (1u << 16));
            }

            Assert.True(_port.TryPostMessage(4, 1, message.AsSpan(0, random.Next(241))));
            _host.Ram.Set(MessagePage + 512, 0u);
            _port.OnEndOfMessage();
            if (i % 100 == 0)
            {
                _bus.Reset();
                Open();
            }

            byte[] junk = new byte[random.Next(1, 200)];
            random.NextBytes(junk);
            _host.Ram.Memory.TryWrite(Out + 0x1000 + (ulong)random.Next(0x2f00), junk);
            _host.Ram.Set(Out, (uint)random.Next((int)RingSize / 8) * 8);
            _port.TrySignalEvent(0x1_0001);
        }
    }

    [Fact]
    public void ItsStateIsTheSameAfterSaveAndRestore()
    {
        Open();
        _bus.Stop();
        StateBag state = new();
        _bus.Save(state);
        VmBusController after = new("vmbus", new CheckedLock(), _host.Ram.Memory, _hypervisor);
        _ = new StorageProvider(after, _host.Ram.Memory, [(_disk, "serial"u8.ToArray())]);
        Assert.True(after.Restore(state));
        StateBag again = new();
        after.Save(again);
        Assert.Equal(state.Describe(), again.Describe());
        state.Integers[66] = 99;
        Assert.False(new VmBusController("vmbus", new CheckedLock(), _host.Ram.Memory, _hypervisor).Restore(new StateBag()));
    }

    [Fact]
    public void DisksComeAndGo()
    {
        Open();
        TestDisk second = new(1 << 16);
        Assert.False(_storage.TryInsert(0, second, "x"u8));
        Assert.False(_storage.TryInsert(64, second, "x"u8));
        Assert.True(_storage.TryInsert(5, second, "x"u8));
        ExpectEnumeration();
        Execute("a00000000000000001000000", 256, Data);
        Assert.Equal((16u, 5), (BinaryPrimitives.ReadUInt32BigEndian(_host.Ram.Get(Data, 4)), _host.Ram.Get<byte>(Data + 17)));
        Execute("000000000000", 0, 0, unit: 5);
        Assert.Equal(1, _answer[14]);

        // It goes: asked whether it is ready, it is not there; it is written to and flushed until then.
        _storage.RequestRemoval(5);
        ExpectEnumeration();
        Assert.False(_storage.IsGivenUp(5));
        Execute("2a000000000000000100", 512, Data, unit: 5);
        Assert.Equal(1, _answer[14]);
        Execute("000000000000", 0, 0, unit: 5);
        Assert.Equal(0x20, _answer[14]);
        Assert.False(_storage.IsGivenUp(5));
        Execute("120000002400", 36, Data, unit: 5);
        Assert.Equal(0x7f, _host.Ram.Get<byte>(Data));
        Execute("a00000000000000001000000", 256, Data);
        Assert.Equal(8u, BinaryPrimitives.ReadUInt32BigEndian(_host.Ram.Get(Data, 4)));
        Execute("35000000000000000000", 0, 0, unit: 5);
        Assert.True(_storage.IsGivenUp(5));
        _storage.Remove(5);
        Execute("28000000000000000100", 512, Data, unit: 5);
        Assert.Equal(0x84, _answer[14]);

        // One that has nothing to be flushed is left alone after two seconds.
        Assert.True(_storage.TryInsert(5, second, "x"u8));
        ExpectEnumeration();
        _storage.RequestRemoval(5);
        ExpectEnumeration();
        Execute("000000000000", 0, 0, unit: 5);
        _host.Clock.Advance(1_999_999_999);
        Assert.False(_storage.IsGivenUp(5));
        _host.Clock.Advance(1);
        Assert.True(_storage.IsGivenUp(5));
    }

    [Fact]
    public void ADiskThatHasGrownSaysSoOnce()
    {
        bool done = false;
        Open();
        _storage.Resize(0, () => done = true);
        Assert.True(done);
        ExpectEnumeration();
        Execute("000000000000", 0, 0);
        Assert.Equal((0x84, 6, 0x2a, 9), (_answer[14], _answer[30], _answer[40], _answer[41]));
        Execute("000000000000", 0, 0);
        Assert.Equal(1, _answer[14]);
    }

    private void ExpectEnumeration()
    {
        Assert.True(TryTake(out byte[] packet, type: 6));
        Assert.Equal(11u, BitConverter.ToUInt32(packet));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TheAdapterHasAChannelForEachProcessorAndLosesThemWithItsFirst(bool byAWrongRing)
    {
        const ulong SubOut = GuestRam.Start + 0x20_0000;
        const ulong SubIn = SubOut + 0x2000;
        Open();
        Assert.Equal(0u, Control(10));
        Assert.Equal((1, 1u), (BitConverter.ToUInt16(_answer, 16), BitConverter.ToUInt32(_answer, 20)));
        Assert.NotEqual(0u, Control(13, 2));
        Assert.Equal(0u, Control(13, 1));
        byte[] offer = Receive();
        Assert.Equal((1u, 1, Second), (BitConverter.ToUInt32(offer), BitConverter.ToUInt16(offer, 180), BitConverter.ToUInt32(offer, 184)));
        Assert.Equal(0u, Gpadl(Second, 78, pages: 4, frame: SubOut >> 12));
        Assert.Equal(0u, OpenChannel(Second, 78, 2));

        // What comes by the second channel is answered there.
        byte[] request = [.. new byte[16], .. Request("000000000000", 0)];
        (request[0], request[2], request[4], request[6], request[8]) = (6, 2, 10, 1, 55);
        _host.Ram.Memory.TryWrite(SubOut + 0x1000, request);
        _host.Ram.Set(SubOut, 88u);
        Assert.True(_port.TrySignalEvent(0x1_0000 + Second));
        Assert.Equal((88u, 55u, 1u), (_host.Ram.Get<uint>(SubIn), _host.Ram.Get<uint>(SubIn + 0x1008), _host.Ram.Get<uint>(SubIn + 0x1010)));
        Assert.False(TryTake(out _));
        if (byAWrongRing)
        {
            _host.Ram.Set(Out, 7u);
            Assert.True(_port.TrySignalEvent(0x1_0001));
        }
        else
        {
            Post(7, 1);
        }

        byte[] rescind = Receive();
        Assert.Equal((2u, Second), (BitConverter.ToUInt32(rescind), BitConverter.ToUInt32(rescind, 8)));
        Assert.NotEqual(0u, OpenChannel(Second, 78, 2));
    }

    private byte[] _answer = [];

    private void Connect()
    {
        Post(14, 0x5_0003, 0, 0, 0, 0, 0, 0, 0);
        Receive();
        Post(3);
        byte[] offer = Receive();
        Assert.Equal((1, 1u, 0x1_0001u), (offer[0], BitConverter.ToUInt32(offer, 184), BitConverter.ToUInt32(offer, 192)));
        Assert.Equal(new Guid("ba6163d9-04a1-4d29-b605-72e2ffb1dc7f"), new Guid(offer.AsSpan(8, 16)));
        Assert.Equal(4, Receive()[0]);
    }

    private void Open()
    {
        Connect();
        _host.Ram.Memory.TryWrite(Out, new byte[0x8000]);
        (_sent, _received) = (0, 0);
        Assert.Equal(0u, Gpadl(1, 77, pages: 8));
        Assert.Equal(0u, OpenChannel(1, 77, 4));
    }

    private uint Gpadl(uint channel, uint handle, int pages, ushort ranges = 1, ulong frame = Out >> 12)
    {
        byte[] message = new byte[28 + (Math.Min(pages, 26) * 8)];
        message[0] = 8;
        BitConverter.TryWriteBytes(message.AsSpan(8), channel);
        BitConverter.TryWriteBytes(message.AsSpan(12), handle);
        BitConverter.TryWriteBytes(message.AsSpan(16), (ushort)(8 + (pages * 8)));
        BitConverter.TryWriteBytes(message.AsSpan(18), ranges);
        BitConverter.TryWriteBytes(message.AsSpan(20), pages * 4096);
        for (int i = 0; i < Math.Min(pages, 26); i++)
        {
            BitConverter.TryWriteBytes(message.AsSpan(28 + (i * 8)), frame + (ulong)i);
        }

        Assert.True(_port.TryPostMessage(4, 1, message));
        byte[] answer = Receive();
        Assert.Equal(10, answer[0]);
        return BitConverter.ToUInt32(answer, 16);
    }

    private uint OpenChannel(uint channel, uint gpadl, uint outPages)
    {
        Post(5, channel, 99, gpadl, 0, outPages);
        byte[] answer = Receive();
        Assert.Equal((6, 99u), (answer[0], BitConverter.ToUInt32(answer, 12)));
        return BitConverter.ToUInt32(answer, 16);
    }

    private void Post(uint type, params uint[] words)
    {
        byte[] message = new byte[8 + (words.Length * 4)];
        message[0] = (byte)type;
        Buffer.BlockCopy(words, 0, message, 8, words.Length * 4);
        Assert.True(_port.TryPostMessage(4, 1, message));
    }

    private byte[] Receive()
    {
        Assert.Equal(1u, _host.Ram.Get<uint>(MessagePage + 512));
        byte[] message = _host.Ram.Get(MessagePage + 512 + 16, _host.Ram.Get<byte>(MessagePage + 512 + 4));
        _host.Ram.Set(MessagePage + 512, 0u);
        _port.OnEndOfMessage();
        return message;
    }

    private uint Control(uint operation, ushort value = 0, bool expectAnswer = true)
    {
        byte[] packet = new byte[64];
        packet[0] = (byte)operation;
        BitConverter.TryWriteBytes(packet.AsSpan(12), value);
        Put(packet, 0, 0);
        Signal();
        bool answered = TryTake(out byte[] answer);
        Assert.Equal(expectAnswer, answered);
        _answer = answer;
        return answered ? BitConverter.ToUInt32(_answer, 8) : uint.MaxValue;
    }

    private static byte[] Request(string command, uint length, byte unit = 0, byte target = 0)
    {
        byte[] packet = new byte[64];
        packet[0] = 3;
        packet[18] = target;
        packet[19] = unit;
        packet[20] = (byte)(command.Length / 2);
        BitConverter.TryWriteBytes(packet.AsSpan(24), length);
        Convert.FromHexString(command).CopyTo(packet.AsSpan(28));
        return packet;
    }

    private void Execute(string command, uint length, ulong data, byte unit = 0, byte target = 0)
    {
        Put(Request(command, length, unit, target), data, length);
        Signal();
        Assert.True(TryTake(out _answer), "There is no answer in the ring.");
    }

    private void Put(byte[] payload, ulong data, uint length)
    {
        uint pages = length == 0 ? 0 : (uint)(((data & 0xfff) + length + 4095) / 4096);
        byte[] packet = new byte[16 + (length == 0 ? 0 : 16 + (int)(pages * 8)) + payload.Length];
        BitConverter.TryWriteBytes(packet, (ushort)(length == 0 ? 6 : 9));
        BitConverter.TryWriteBytes(packet.AsSpan(2), (ushort)((packet.Length - payload.Length) / 8));
        BitConverter.TryWriteBytes(packet.AsSpan(4), (ushort)(packet.Length / 8));
        packet[6] = 1;
        if (length != 0)
        {
            BitConverter.TryWriteBytes(packet.AsSpan(20), 1u);
            BitConverter.TryWriteBytes(packet.AsSpan(24), length);
            BitConverter.TryWriteBytes(packet.AsSpan(28), (uint)(data & 0xfff));
            for (uint i = 0; i < pages; i++)
            {
                BitConverter.TryWriteBytes(packet.AsSpan(32 + (int)(i * 8)), (data >> 12) + i);
            }
        }

        payload.CopyTo(packet, packet.Length - payload.Length);
        foreach (byte b in packet)
        {
            _host.Ram.Set(Out + 0x1000 + _sent, b);
            _sent = (_sent + 1) % RingSize;
        }

        _sent = (_sent + 8) % RingSize;
        _host.Ram.Set(Out, _sent);
    }

    private void Signal() => Assert.True(_port.TrySignalEvent(0x1_0001));

    private bool TryTake(out byte[] payload, byte type = 11)
    {
        payload = [];
        if (_host.Ram.Get<uint>(In) == _received)
        {
            return false;
        }

        byte[] packet = new byte[80];
        for (int i = 0; i < packet.Length; i++)
        {
            packet[i] = _host.Ram.Get<byte>(In + 0x1000 + ((_received + (uint)i) % RingSize));
        }

        Assert.Equal((type, 2, 10), (packet[0], packet[2], packet[4]));
        _received = (_received + 88) % RingSize;
        _host.Ram.Set(In + 4, _received);
        payload = packet[16..];
        return true;
    }
}
