using System.Buffers.Binary;
using System.Text;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.Xen;
using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Store;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>A machine with a control domain, and the guest's end of the store's ring.</summary>
internal sealed unsafe class StoreClient : IDisposable
{
    private const ulong Length = 4 << 20;
    private readonly Func<XenBusController, XenPersonality, BackEnd?> _build;
    private readonly int _processors;
    private readonly List<nint> _rams = [];
    private uint _request;

    public StoreClient(Func<XenBusController, XenPersonality, BackEnd?>? device = null, int processors = 2)
    {
        _build = device ?? (static (_, _) => null);
        _processors = processors;
        Build();
        Start();
    }

    public XenPersonality Personality { get; private set; } = null!;

    public XenBusController Bus { get; private set; } = null!;

    public BackEnd? Device { get; private set; }

    public ManualClock Clock { get; private set; } = new();

    public Machine.Memory.GuestMemory Memory { get; private set; } = null!;

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

            Memory.TryWrite(SpecialPages.Store + (producer % 1024), b);
            Memory.TryWrite(SpecialPages.Store + 2052, producer + 1);
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
        Memory.TryRead(SpecialPages.Store + field, out uint value);
        return value;
    }

    public void Set(uint field, uint value) => Memory.TryWrite(SpecialPages.Store + field, value);

    /// <summary>Grants a page to the control domain.</summary>
    public void Grant(uint reference, ulong address, ushort flags = 1)
    {
        if (Personality.Domain.Grants.GetPlace(0) == 0)
        {
            Personality.Domain.Grants.TryPlace(0, 0x20_0000);
        }

        Memory.TryWrite(0x20_0000 + (reference * 8UL), flags | ((address / 4096) << 32));
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

    /// <summary>Saves the machine, and has another go on from there.</summary>
    /// <param name="isSame">Whether it would be saved the same again.</param>
    public void GoOn(bool isSame = true)
    {
        Dictionary<string, StateBag> states = Save();
        ulong now = Clock.Now;
        (nint before, Machine.Memory.GuestMemory old) = (_rams[^1], Memory);
        Clock = new ManualClock();
        Build();
        Buffer.MemoryCopy((void*)before, (void*)_rams[^1], (long)Length, (long)Length);
        old.Dispose();
        Clock.Advance(now);
        Assert.Null(Restore(states));
        if (isSame)
        {
            Assert.Equal(Describe(states), Describe(Save()));
        }

        Start();
    }

    /// <summary>Makes the machine anew, as it is when it is switched on.</summary>
    public void Restart()
    {
        Stop();
        Memory.Dispose();
        Build();
        Start();
    }

    /// <summary>A record that lacks any of its fields is refused by its name; and whatever is in it, nothing throws.</summary>
    public void RefusesWhatCannotBe(string name)
    {
        Dictionary<string, StateBag> states = Save();
        StateBag good = states[name];
        good.PlayWithout(
            state =>
            {
                Personality.Reset();
                Bus.Reset();
                states[name] = state;
                string? refused = Restore(states);
                Assert.True(refused is null || refused == name, refused);
                return refused is null;
            },
            () =>
            {
                Start();
                for (uint port = 1; port < 8; port++)
                {
                    NotifyAny(port);
                }

                Memory.TryRead(SpecialPages.Store + 2060, out uint answered);
                Memory.TryWrite(SpecialPages.Store + 2056, answered);
                NotifyAny(1);
                Clock.Advance(1_000_000);
                Stop();
            });
    }

    public void Start()
    {
        Personality.Start();
        Bus.Start();
    }

    public void Stop()
    {
        Bus.Stop();
        Personality.Stop();
    }

    public void Dispose()
    {
        Memory.Dispose();
        _rams.ForEach(static r => System.Runtime.InteropServices.NativeMemory.AlignedFree((void*)r));
    }

    private static string Describe(Dictionary<string, StateBag> states) => string.Join('\n', states.Select(static s => $"{s.Key}:\n{s.Value.Describe()}"));

    private void NotifyAny(uint port)
    {
        Personality.Domain.Gate.Enter();
        Personality.Domain.Events.Send(port, out Lamina.Personalities.Xen.Events.IEventTarget? target);
        Personality.Domain.Gate.Exit();
        target?.OnEvent();
    }

    private void Build()
    {
        _rams.Add((nint)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)Length, 4096));
        System.Runtime.InteropServices.NativeMemory.Clear((void*)_rams[^1], (nuint)Length);
        Memory = new Machine.Memory.GuestMemory([new Machine.Memory.GuestMemoryRegion(0, Length, _rams[^1])]);
        Personality = new XenPersonality(
            new PersonalitySettings
            {
                Gate = new CheckedLock(),
                Memory = Memory,
                Clock = Clock,
                Messages = new RecordingMessages(),
                ProcessorCount = _processors,
                TscFrequency = 1_000_000_000,
                LocalTimerFrequency = 1_000_000_000,
            },
            new TestHost());
        Bus = new XenBusController(Personality, new CheckedLock(), "guest");
        Device = _build(Bus, Personality);
        Personality.Reset();
        Bus.Reset();
    }

    private List<IDevice> ListDevices() => [Personality, Bus, .. Bus.CreateDeviceStates()];

    private Dictionary<string, StateBag> Save()
    {
        Stop();
        Dictionary<string, StateBag> states = [];
        foreach (IDevice device in ListDevices())
        {
            device.Save(states[device.Name] = new StateBag());
        }

        return states;
    }

    // The name of the first that is refused.
    private string? Restore(Dictionary<string, StateBag> states) => ListDevices().FirstOrDefault(d => !d.Restore(states[d.Name]))?.Name;

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

            Memory.TryRead(SpecialPages.Store + 1024 + (consumer % 1024), out bytes[i]);
            Set(2056, consumer + 1);
        }

        return bytes;
    }
}
