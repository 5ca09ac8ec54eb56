using System.Text;
using Lamina.Machine.Backends;
using Lamina.Virtio.Console;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Console;

/// <summary>A console alone, and a console with named ports and their control messages.</summary>
public sealed class ConsoleDeviceTests : IDisposable
{
    private const ulong Version1 = 1UL << 32;
    private const ulong Size = 1;
    private const ulong MultiplePorts = 2;
    private readonly GuestRam _ram = new();
    private readonly Output[] _outputs = [new(), new(), new()];

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AConsoleCarriesBytesBothWays(bool packed)
    {
        (TestBus bus, ConsolePort console, DriverQueue receive, DriverQueue transmit) = Simple(packed);
        byte[] text = Encoding.ASCII.GetBytes(new string('x', 1300) + "end");
        ulong at = _ram.Put(text);
        for (int i = 0; i < 50; i++)
        {
            transmit.Add([(at, 700), (at + 700, text.Length - 700)], []);
            bus.Kick(1);
            Assert.NotNull(transmit.Take());
            Assert.Equal(text, _outputs[0].Take());
        }

        ulong first = _ram.Allocate(4);
        ulong second = _ram.Allocate(4);
        receive.Add([], [(first, 4)]);
        receive.Add([], [(second, 4)]);
        Assert.Equal(6, console.Receive("abcdef"u8));
        Assert.Equal(4u, receive.Take()!.Value.Written);
        Assert.Equal(2u, receive.Take()!.Value.Written);
        Assert.Equal("abcd"u8.ToArray(), _ram.Get(first, 4));
        Assert.Equal("ef"u8.ToArray(), _ram.Get(second, 2));
    }

    [Fact]
    public void ABufferThatSaysTheSameBytesOverAndOverEndsTheDevice()
    {
        const int NeedsReset = 64;
        (TestBus bus, _, _, DriverQueue transmit) = Simple();
        const int Parts = 8;
        int length = (int)GuestRam.Length - 4096;
        Assert.True((long)Parts * length > 16 << 20, "The machine has too little RAM for this.");
        transmit.Add([.. Enumerable.Repeat((GuestRam.Start, length), Parts)], []);
        bus.Kick(1);
        Assert.True(_outputs[0].Take().Length == 0 && (bus.Status & NeedsReset) != 0, "All of it was taken at once.");
    }

    [Fact]
    public void WhoeverWasRefusedHearsOfRoom()
    {
        (TestBus bus, ConsolePort console, DriverQueue receive, _) = Simple();
        console.SetReadyTarget(_outputs[0]);
        Assert.Equal(0, console.Receive("abc"u8));
        Assert.Equal(0, _outputs[0].Ready);
        ulong at = _ram.Allocate(2);
        receive.Add([], [(at, 2)]);
        bus.Kick(0);
        Assert.Equal(1, _outputs[0].Ready);
        Assert.Equal(2, console.Receive("abc"u8));
        Assert.NotNull(receive.Take());
        receive.Add([], [(at, 2)]);
        bus.Kick(0);
        Assert.Equal(2, _outputs[0].Ready);
        Assert.Equal(1, console.Receive("c"u8));
        Assert.NotNull(receive.Take());
        receive.Add([], [(at, 2)]);
        bus.Kick(0);
        Assert.Equal(2, _outputs[0].Ready);
    }

    [Fact]
    public void WithoutADriverNothingIsTaken()
    {
        ConsolePort console = new([], isConsole: true, _outputs[0]);
        ConsoleDevice device = new("console0", new CheckedLock(), _ram.Memory, [console]);
        TestBus bus = new(device);
        Assert.Equal(0, console.Receive("abc"u8));
        bus.Write(0x2008, 'x', 4);
        Assert.Equal("x"u8.ToArray(), _outputs[0].Take());
    }

    [Fact]
    public void TheWindowsSizeIsInTheConfiguration()
    {
        (TestBus bus, _, _, _) = Simple();
        ((ConsoleDevice)bus.Device).Resize(132, 43);
        Assert.Equal([0u], bus.Sent);
        Assert.Equal(132UL, bus.Read(0x2000, 2));
        Assert.Equal(43UL, bus.Read(0x2002, 2));
        Assert.Equal(0UL, MultiplePorts & bus.OfferedFeatures);
    }

    [Fact]
    public void ADriverHearsOfTheSizeOnceItWrites()
    {
        ConsoleDevice device = new("console0", new CheckedLock(), _ram.Memory, [new ConsolePort([], isConsole: true, _outputs[0])]);
        device.Resize(132, 43);
        TestBus bus = new(device);
        DriverQueue receive = new(_ram, 16, false, false);
        DriverQueue transmit = new(_ram, 16, false, false);
        transmit.WantInterrupts(false, eventIndex: false);
        bus.Begin(Version1 | Size, receive, transmit);
        ulong at = _ram.Put("x"u8);
        for (int i = 0; i < 3; i++)
        {
            transmit.Add([(at, 1)], []);
            bus.Kick(1);
            Assert.Equal([0u], bus.Sent);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PortsAreAddedNamedAndOpened(bool packed)
    {
        Ports setup = Multiple(packed);
        Assert.Equal(3UL, setup.Bus.Read(0x2004, 4));
        Assert.Equal(8UL, setup.Bus.Read(0x12, 2));
        setup.Say(0, 0, 1);
        Assert.Equal([(0u, 1, ""), (1u, 1, ""), (2u, 1, "")], setup.Hear());
        setup.Say(1, 3, 1);
        Assert.Equal([(1u, 6, ""), (1u, 7, "org.example.agent")], setup.Hear());
        setup.Say(0, 3, 1);
        setup.Device.Resize(80, 24);
        Assert.Equal([(0u, 4, ""), (0u, 5, "\0\0\0\0"), (0u, 6, "")], setup.Hear());
        setup.Say(0, 6, 1);
        setup.Device.Resize(100, 30);
        Assert.Equal([(0u, 5, "\u0064\0\u001e\0")], setup.Hear());
    }

    [Fact]
    public void APortTakesBytesWhileItIsOpen()
    {
        Ports setup = Multiple();
        setup.Console[1].SetReadyTarget(_outputs[1]);
        DriverQueue receive = setup.Queues[4];
        ulong at = _ram.Allocate(8);
        receive.Add([], [(at, 8)]);
        Assert.Equal(0, setup.Console[1].Receive("early"u8));
        setup.Say(1, 6, 1);
        Assert.Equal(1, _outputs[1].Ready);
        Assert.Equal(5, setup.Console[1].Receive("early"u8));
        Assert.Equal("early"u8.ToArray(), _ram.Get(at, 5));
        Assert.NotNull(receive.Take());
        setup.Say(1, 6, 0);
        receive.Add([], [(at, 8)]);
        Assert.Equal(0, setup.Console[1].Receive("late"u8));
        setup.Queues[5].Add([(_ram.Put("from the guest"u8), 14)], []);
        setup.Bus.Kick(5);
        Assert.Equal("from the guest"u8.ToArray(), _outputs[1].Take());
        Assert.Empty(_outputs[0].Take());
        setup.Bus.Status = 0;
        Assert.Equal(0, setup.Console[1].Receive("x"u8));
    }

    [Fact]
    public void MessagesWaitForBuffersAndAreNotPiledUp()
    {
        Ports setup = Multiple(buffers: 0);
        for (int i = 0; i < 100; i++)
        {
            setup.Say(0, 0, 1);
            setup.Say(1, 3, 1);
        }

        Assert.Empty(setup.Hear());
        for (int i = 0; i < 20; i++)
        {
            setup.Provide();
        }

        setup.Bus.Kick(2);
        Assert.Equal([(0u, 1, ""), (1u, 1, ""), (1u, 6, ""), (1u, 7, "org.example.agent"), (2u, 1, "")], setup.Hear());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void WhateverAGuestSaysIsHarmless(int seed)
    {
        Ports setup = Multiple(packed: seed == 2);
        Random random = new(seed);
        byte[] message = new byte[16];
        ulong at = _ram.Allocate(16);
        for (int i = 0; i < 5000; i++)
        {
            random.NextBytes(message);
            message[0] = (byte)random.Next(5);
            message.AsSpan(1, 3).Clear();
            message[4] = (byte)random.Next(9);
            message[5] = 0;
            _ram.Memory.TryWrite(at, message);
            setup.Queues[3].Add([(at, random.Next(1, 17))], []);
            setup.Bus.Kick(3);
            Assert.NotNull(setup.Queues[3].Take());
            setup.Hear();
            _ = setup.Console[random.Next(3)].Receive(message);
            setup.Bus.Kick(random.Next(9));
        }

        Assert.Equal(15, setup.Bus.Status);
    }

    [Fact]
    public void StateSurvivesSaveResetRestore()
    {
        Ports setup = Multiple();
        setup.Say(1, 6, 1);
        setup.Bus.Transport.Stop();
        StateBag saved = new();
        setup.Bus.Transport.Save(saved);
        setup.Bus.Transport.Reset();
        Assert.True(setup.Bus.Transport.Restore(saved));
        StateBag again = new();
        setup.Bus.Transport.Save(again);
        Assert.Equal(saved.Describe(), again.Describe());
        setup.Bus.Transport.Start();
        setup.Queues[4].Add([], [(_ram.Allocate(8), 8)]);
        Assert.Equal(1, setup.Console[1].Receive("x"u8));
    }

    [Fact]
    public void NothingIsAllocatedPerByte()
    {
        (TestBus bus, ConsolePort console, DriverQueue receive, DriverQueue transmit) = Simple();
        ulong at = _ram.Allocate(16);
        Run(500);
        Assert.Equal(0, Run(500));

        long Run(int count)
        {
            long sum = 0;
            for (int i = 0; i < count; i++)
            {
                receive.Add([], [(at, 16)]);
                transmit.Add([(at, 16)], []);
                _outputs[0].Mute = true;
                long start = GC.GetAllocatedBytesForCurrentThread();
                bus.Transport.Ring(1);
                console.Receive("abc"u8);
                sum += GC.GetAllocatedBytesForCurrentThread() - start;
                Assert.NotNull(receive.Take());
                Assert.NotNull(transmit.Take());
                bus.Sent.Clear();
            }

            return sum;
        }
    }

    private (TestBus Bus, ConsolePort Console, DriverQueue Receive, DriverQueue Transmit) Simple(bool packed = false)
    {
        ConsolePort console = new([], isConsole: true, _outputs[0]);
        TestBus bus = new(new ConsoleDevice("console0", new CheckedLock(), _ram.Memory, [console]));
        DriverQueue receive = new(_ram, 16, packed, false);
        DriverQueue transmit = new(_ram, 16, packed, false);
        bus.Begin(Version1 | Size | (packed ? 1UL << 34 : 0), receive, transmit);
        return (bus, console, receive, transmit);
    }

    private Ports Multiple(bool packed = false, int buffers = 10) => new(_ram, _outputs, packed, buffers);

    private sealed class Ports
    {
        private readonly GuestRam _ram;
        private readonly Dictionary<ushort, ulong> _buffers = [];

        public Ports(GuestRam ram, Output[] outputs, bool packed, int buffers)
        {
            _ram = ram;
            Console = [new([], isConsole: true, outputs[0]), new("org.example.agent"u8, isConsole: false, outputs[1]), new([], isConsole: false, outputs[2])];
            Device = new ConsoleDevice("ports0", new CheckedLock(), ram.Memory, Console);
            Bus = new TestBus(Device);
            Queues = [.. Enumerable.Range(0, 8).Select(_ => new DriverQueue(ram, 32, packed, false))];
            Bus.Begin(Version1 | Size | MultiplePorts | (packed ? 1UL << 34 : 0), Queues);
            for (int i = 0; i < buffers; i++)
            {
                Provide();
            }
        }

        public TestBus Bus { get; }

        public ConsoleDevice Device { get; }

        public ConsolePort[] Console { get; }

        public DriverQueue[] Queues { get; }

        public void Provide()
        {
            ulong at = _ram.Allocate(80);
            _buffers[Queues[2].Add([], [(at, 80)])] = at;
        }

        public void Say(uint port, ushort happened, ushort value)
        {
            ulong at = _ram.Put([(byte)port, 0, 0, 0, (byte)happened, 0, (byte)value, 0]);
            Queues[3].Add([(at, 8)], []);
            Bus.Kick(3);
            Assert.NotNull(Queues[3].Take());
        }

        public List<(uint Port, int Event, string More)> Hear()
        {
            List<(uint, int, string)> messages = [];
            List<ulong> free = [];
            while (Queues[2].Take() is { } used)
            {
                Assert.True(_buffers.Remove(used.Id, out ulong at));
                byte[] message = _ram.Get(at, (int)used.Written);
                messages.Add((message[0], message[4], Encoding.Latin1.GetString(message.AsSpan(8))));
                free.Add(at);
            }

            foreach (ulong at in free)
            {
                _buffers[Queues[2].Add([], [(at, 80)])] = at;
            }

            return messages;
        }
    }

    private sealed class Output : ICharacterOutput, ICharacterInputReady
    {
        private readonly List<byte> _bytes = [];

        public int Ready { get; private set; }

        public bool Mute { get; set; }

        public byte[] Take()
        {
            byte[] bytes = [.. _bytes];
            _bytes.Clear();
            return bytes;
        }

        public void Write(ReadOnlySpan<byte> data)
        {
            if (!Mute)
            {
                _bytes.AddRange(data);
            }
        }

        public void OnInputReady() => Ready++;
    }
}
