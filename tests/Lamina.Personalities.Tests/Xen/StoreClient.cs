using System.Buffers.Binary;
using System.Text;
using Lamina.Machine;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.Xen;
using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Store;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>A machine with a control domain, and the guest's end of the store's ring.</summary>
internal sealed unsafe class StoreClient : IDisposable
{
    private readonly Machine.Memory.GuestMemory _memory;
    private readonly void* _bytes = System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)Length, 4096);
    private const ulong Length = 4 << 20;
    private uint _request;

    public StoreClient(Func<XenBusController, XenPersonality, BackEnd>? device = null, int processors = 2)
    {
        System.Runtime.InteropServices.NativeMemory.Clear(_bytes, (nuint)Length);
        _memory = new Machine.Memory.GuestMemory([new Machine.Memory.GuestMemoryRegion(0, Length, (nint)_bytes)]);
        Personality = new XenPersonality(
            new PersonalitySettings
            {
                Gate = new CheckedLock(),
                Memory = _memory,
                Clock = new ManualClock(),
                Messages = new RecordingMessages(),
                ProcessorCount = processors,
                TscFrequency = 1_000_000_000,
                LocalTimerFrequency = 1_000_000_000,
            },
            new TestHost());
        Bus = new XenBusController(Personality, new CheckedLock(), "guest");
        Device = device?.Invoke(Bus, Personality);
        Personality.Reset();
        Bus.Reset();
        Personality.Start();
        Bus.Start();
    }

    public XenPersonality Personality { get; }

    public XenBusController Bus { get; }

    public BackEnd? Device { get; }

    public Machine.Memory.GuestMemory Memory => _memory;

    public Queue<string> Events { get; } = [];

    public static ILock NewLock() => new CheckedLock();

    /// <summary>Asks, and waits for the answer; events on the way are kept.</summary>
    public string Ask(StoreMessage type, string payload, uint transaction = 0)
    {
        Send((uint)type, Encoding.ASCII.GetBytes(payload), transaction);
        while (true)
        {
            (uint answer, string text) = Receive();
            if (answer != (uint)StoreMessage.WatchEvent)
            {
                return text;
            }

            Events.Enqueue(text);
        }
    }

    public string Read(string path) => Ask(StoreMessage.Read, path + "\0");

    public string Write(string path, string value, uint transaction = 0) => Ask(StoreMessage.Write, $"{path}\0{value}", transaction);

    public uint Begin() => uint.Parse(Ask(StoreMessage.TransactionStart, "\0").TrimEnd('\0'), System.Globalization.CultureInfo.InvariantCulture);

    public void Send(uint type, byte[] payload, uint transaction, int? claimed = null)
    {
        byte[] header = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(4), ++_request);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), transaction);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(12), claimed ?? payload.Length);
        foreach (byte b in header.Concat(payload))
        {
            uint producer = Get(2052);
            if (producer - Get(2048) == 1024)
            {
                Kick();
                Assert.True(Get(2052) - Get(2048) < 1024, "The store does not take requests.");
            }

            _memory.TryWrite(SpecialPages.Store + (producer % 1024), b);
            _memory.TryWrite(SpecialPages.Store + 2052, producer + 1);
        }

        Kick();
    }

    public (uint Type, string Payload) Receive()
    {
        byte[] header = Take(16);
        return (BinaryPrimitives.ReadUInt32LittleEndian(header), Encoding.ASCII.GetString(Take(BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(12)))));
    }

    public void Kick()
    {
        Personality.Domain.Gate.Enter();
        Personality.Domain.Events.Send(1, out Lamina.Personalities.Xen.Events.IEventTarget? target);
        Personality.Domain.Gate.Exit();
        target!.OnEvent();
    }

    public uint Get(uint field)
    {
        _memory.TryRead(SpecialPages.Store + field, out uint value);
        return value;
    }

    public void Set(uint field, uint value) => _memory.TryWrite(SpecialPages.Store + field, value);

    /// <summary>Grants a page to the control domain.</summary>
    public void Grant(uint reference, ulong address, ushort flags = 1)
    {
        if (Personality.Domain.Grants.GetPlace(0) == 0)
        {
            Personality.Domain.Grants.TryPlace(0, 0x20_0000);
        }

        _memory.TryWrite(0x20_0000 + (reference * 8UL), flags | ((address / 4096) << 32));
    }

    /// <summary>Makes an event channel for the control domain.</summary>
    public uint AllocatePort()
    {
        Personality.Domain.Gate.Enter();
        Assert.Equal(0, Personality.Domain.Events.AllocateUnbound(0, out uint port));
        Personality.Domain.Gate.Exit();
        return port;
    }

    /// <summary>Sends an event.</summary>
    public void Notify(uint port)
    {
        Personality.Domain.Gate.Enter();
        Assert.Equal(0, Personality.Domain.Events.Send(port, out Lamina.Personalities.Xen.Events.IEventTarget? target));
        Personality.Domain.Gate.Exit();
        target?.OnEvent();
    }

    public void Dispose()
    {
        _memory.Dispose();
        System.Runtime.InteropServices.NativeMemory.AlignedFree(_bytes);
    }

    private byte[] Take(int length)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
        {
            uint consumer = Get(2056);
            if (consumer == Get(2060))
            {
                Kick();
                Assert.NotEqual(consumer, Get(2060));
            }

            _memory.TryRead(SpecialPages.Store + 1024 + (consumer % 1024), out bytes[i]);
            Set(2056, consumer + 1);
        }

        return bytes;
    }
}
