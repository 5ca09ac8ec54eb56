using System.Text;
using Lamina.Machine.Backends;
using Lamina.Virtio.FileSystem;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.FileSystem;

/// <summary>Messages between a driver and a folder that answers at once, late, or in another order.</summary>
public sealed class FileSystemDeviceTests : IFileSystemBackend, IDisposable
{
    private const ulong Version1 = 1UL << 32;
    private readonly GuestRam _ram = new();
    private readonly List<FileSystemRequest> _held = [];
    private readonly FileSystemDevice _device;
    private readonly TestBus _bus;
    private DriverQueue[] _queues = [];

    public FileSystemDeviceTests()
    {
        _device = new FileSystemDevice("share0", new CheckedLock(), _ram.Memory, this, "source"u8);
        _bus = new TestBus(_device);
    }

    public void Dispose() => _ram.Dispose();

    void IFileSystemBackend.Submit(FileSystemRequest request) => _held.Add(request);

    void IFileSystemBackend.Drain()
    {
        while (_held.Count > 0)
        {
            Answer(0);
        }
    }

    [Fact]
    public void The_configuration_has_the_tag_and_one_queue_for_requests()
    {
        byte[] tag = [.. Enumerable.Range(0, 36).Select(i => (byte)_bus.Read(0x2000 + (uint)i, 1))];
        Assert.Equal("source", Encoding.UTF8.GetString(tag).TrimEnd('\0'));
        Assert.Equal(1UL, _bus.Read(0x2024, 4));
        Assert.Equal(0x105a_1af4UL, _bus.Configuration(0, 4));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Messages_are_answered_in_any_order_on_both_queues(bool packed)
    {
        Begin(packed);
        for (int round = 0; round < 30; round++)
        {
            (ushort Id, ulong Room) first = Ask(1, "first");
            (ushort Id, ulong Room) second = Ask(1, "second");
            (ushort Id, ulong Room) urgent = Ask(0, "urgent");
            Assert.Equal(["first", "second", "urgent"], _held.Select(Text));
            Answer(1);
            Assert.Equal((second.Id, 6u), _queues[1].Take());
            Assert.Equal("SECOND", Encoding.ASCII.GetString(_ram.Get(second.Room, 6)));
            Assert.Null(_queues[1].Take());
            Answer(0);
            Answer(0);
            Assert.Equal((first.Id, 5u), _queues[1].Take());
            Assert.Equal((urgent.Id, 6u), _queues[0].Take());
            Assert.Equal("URGENT", Encoding.ASCII.GetString(_ram.Get(urgent.Room, 6)));
        }
    }

    [Fact]
    public void A_message_of_all_pieces_may_lie_in_two_regions_of_RAM()
    {
        const ulong Seam = GuestRam.Start + 0x1000;
        using GuestRam ram = new(2);
        ram.Allocate(0x8000);
        TestBus bus = new(new FileSystemDevice("share1", new CheckedLock(), ram.Memory, this, "source"u8));
        DriverQueue queue = new(ram, 128, false, indirect: true);
        bus.Begin(Version1 | (1UL << 28), new DriverQueue(ram, 128, false, false), queue);
        byte[] text = new byte[129 * 2];
        Array.Fill(text, (byte)'a');
        Assert.True(ram.Memory.TryWrite(Seam - 129, text.AsSpan(0, 129)) && ram.Memory.TryWrite(Seam, text.AsSpan(129)));
        ulong room = ram.Allocate(300);
        ushort id = queue.Add([.. Enumerable.Range(0, 129).Select(i => (Seam - 129 + ((ulong)i * 2), 2))], [(room, 300)]);
        bus.Kick(1);
        byte[] message = new byte[300];
        Assert.Equal(258, _held[0].Read(0, message));
        Assert.Equal(text, message[..258]);
        Assert.Equal(131, _held[0].Message.Length + _held[0].Answer.Length);
        Answer(0);
        Assert.Equal(id, queue.Take()!.Value.Id);
    }

    [Fact]
    public void A_message_without_room_for_an_answer_is_returned_empty()
    {
        Begin();
        ushort id = _queues[1].Add([(_ram.Put("forget"u8), 6)], []);
        _bus.Kick(1);
        Assert.Equal(0UL, _held[0].AnswerLength);
        Answer(0);
        Assert.Equal((id, 0u), _queues[1].Take());
    }

    [Fact]
    public void A_reset_waits_for_the_folder_and_nothing_comes_after_it()
    {
        Begin();
        Ask(1, "slow");
        _bus.Status = 0;
        Assert.NotEqual(0, _bus.Status);
        Answer(0);
        Assert.Equal(0, _bus.Status);
        Assert.Null(_queues[1].Take());
        Assert.Empty(_bus.Sent);
        Begin();
        Ask(1, "again");
        Answer(0);
        Assert.NotNull(_queues[1].Take());
    }

    [Fact]
    public void More_messages_than_places_are_all_answered()
    {
        _queues = [new DriverQueue(_ram, 128, false, false), new DriverQueue(_ram, 128, false, false)];
        _bus.Begin(Version1, _queues);
        ulong message = _ram.Put("m"u8);
        int answered = 0;
        for (int i = 0; i < 128; i++)
        {
            _queues[1].Add([(message, 1)], []);
            _queues[0].Add([(message, 1)], []);
        }

        _bus.Kick(0);
        _bus.Kick(1);
        Assert.Equal(256, _held.Count);
        while (_held.Count > 0)
        {
            Answer(_held.Count / 2);
            answered += _queues[0].Take() == null && _queues[1].Take() == null ? 0 : 1;
        }

        Assert.Equal(256, answered);
    }

    [Fact]
    public void Stopping_drains_and_starting_goes_on()
    {
        Begin();
        Ask(1, "one");
        _bus.Transport.Stop();
        Assert.Empty(_held);
        Assert.NotNull(_queues[1].Take());
        Ask(1, "two");
        Assert.Empty(_held);
        _bus.Transport.Start();
        Assert.Equal(["two"], _held.Select(Text));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Chains_of_any_shape_are_carried_whole(int seed)
    {
        Begin(packed: seed == 2);
        Random random = new(seed);
        ulong area = _ram.Allocate(4096);
        for (int i = 0; i < 2000; i++)
        {
            (ulong, int)[] message = [.. Enumerable.Range(0, random.Next(5)).Select(_ => (area + (ulong)random.Next(2000), random.Next(1, 200)))];
            (ulong, int)[] room = [.. Enumerable.Range(0, random.Next(message.Length == 0 ? 1 : 0, 5)).Select(_ => (area + (ulong)random.Next(2000), random.Next(1, 200)))];
            int queue = random.Next(2);
            _queues[queue].Add(message, room);
            _bus.Kick(queue);
            Assert.Equal(message.Sum(p => p.Item2), _held[0].Message.ToArray().Sum(b => b.Length));
            Assert.Equal((ulong)room.Sum(p => p.Item2), _held[0].AnswerLength);
            FileSystemRequest request = _held[0];
            _held.RemoveAt(0);
            uint written = (uint)request.Write(0, new byte[random.Next(500)]);
            request.Complete(written);
            Assert.Equal(written, _queues[queue].Take()!.Value.Written);
        }

        Assert.Equal(15, _bus.Status);
    }

    private static string Text(FileSystemRequest request)
    {
        byte[] text = new byte[100];
        return Encoding.ASCII.GetString(text, 0, request.Read(0, text));
    }

    private void Begin(bool packed = false)
    {
        _queues = [new DriverQueue(_ram, 16, packed, false), new DriverQueue(_ram, 16, packed, false)];
        _bus.Begin(Version1 | (packed ? 1UL << 34 : 0), _queues);
    }

    private (ushort Id, ulong Room) Ask(int queue, string text)
    {
        ulong message = _ram.Put(Encoding.ASCII.GetBytes(text));
        ulong room = _ram.Allocate(64);
        ushort id = _queues[queue].Add([(message, 2), (message + 2, text.Length - 2)], [(room, 3), (room + 3, 61)]);
        _bus.Kick(queue);
        return (id, room);
    }

    // The answer is the message in capitals.
    private void Answer(int index)
    {
        FileSystemRequest request = _held[index];
        _held.RemoveAt(index);
        request.Complete((uint)request.Write(0, Encoding.ASCII.GetBytes(Text(request).ToUpperInvariant())));
    }
}
