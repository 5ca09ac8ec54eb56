using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Personalities.HyperV.Memory;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>Dynamic memory as its driver sees it, good and hostile.</summary>
public sealed partial class DynamicMemoryTests : IDisposable, IMemoryReclaimer, IHotAddObserver
{
    private const ulong Second = 1_000_000_000;
    private const ulong FirstPage = GuestRam.Start >> 12;
    private readonly VmBusGuest _guest = new();
    private DynamicMemoryService _service;
    private readonly List<(ulong Address, uint Length)> _reclaimed = [];
    private readonly List<GuestMemory> _memories = [];

    public DynamicMemoryTests() => _service = new DynamicMemoryService(_guest.Bus, _guest.Ram.Memory, this);

    public void Dispose()
    {
        _memories.ForEach(static m => m.Dispose());
        _guest.Dispose();
    }

    void IMemoryReclaimer.Reclaim(GuestBuffer pages) => _reclaimed.Add((pages.Address, pages.Length));

    [Fact]
    public void AGuestGivesPagesAndHasThemAgain()
    {
        Connect();
        Assert.Null(_guest.Take());
        _service.Target = 100 << 12;
        Assert.Equal((6u, 100u), Next());

        // In two messages, one page of them given twice.
        Give(more: true, (FirstPage + 256, 64));
        Assert.Null(_guest.Take());
        Give(more: false, (FirstPage + 256, 1), (FirstPage + 512, 30));
        Assert.Equal(94UL << 12, _service.Size);
        Assert.Equal([(GuestRam.Start + 0x10_0000, 0x4_0000u), (GuestRam.Start + 0x20_0000, 0x1_e000u)], _reclaimed);

        // It had no more to spare: it is asked again after a second.
        Assert.Null(_guest.Take());
        _guest.Host.Clock.Advance(Second);
        Assert.Equal((6u, 6u), Next());
        Give(more: false);
        _service.Target = 10 << 12;
        VmBusGuest.Packet request = _guest.Take()!;
        Assert.Equal((8, 0u, 2u), (request.Data[0], request.Word(8), request.Word(12)));
        Assert.Equal([(FirstPage + 256) | (64UL << 40), (FirstPage + 512) | (20UL << 40)], [BitConverter.ToUInt64(request.Data, 16), BitConverter.ToUInt64(request.Data, 24)]);
        Assert.Equal(10UL << 12, _service.Size);
        _service.Target = 0;
        Assert.Null(_guest.Take());
        Send(9);
        Assert.Equal(8, _guest.Take()!.Data[0]);
        Send(9);
        Assert.Equal(0UL, _service.Size);
        _guest.Close();
        _service.Target = 1 << 20;
        Assert.Null(_guest.Take());
    }

    [Fact]
    public void ManyPartsComeBackInSeveralMessages()
    {
        Connect();
        _service.Target = 600 << 12;
        Next();
        for (int i = 0; i < 6; i++)
        {
            int first = i * 100;
            Give(more: i < 5, [.. Enumerable.Range(first, 100).Select(n => (FirstPage + 200 + (ulong)n, 1UL)).Where(p => (p.Item1 & 1) == 0)]);
        }

        Assert.Equal(300UL << 12, _service.Size);
        _service.Target = 0;
        VmBusGuest.Packet first250 = _guest.Take()!;
        VmBusGuest.Packet rest = _guest.Take()!;
        Assert.Equal((1u, 250u, 0u, 50u), (first250.Word(8), first250.Word(12), rest.Word(8), rest.Word(12)));
    }

    [Fact]
    public void WhatAGuestTellsIsHeldAgainstItsMemory()
    {
        Connect();
        Give(more: false, (FirstPage, 100));
        Assert.Equal(0UL, _service.Size);
        _service.Target = 1 << 20;
        Next();
        Give(more: false, (0, 10), (ulong.MaxValue >> 24, 0xff_ffff), (FirstPage + 1020, 0xff_ffff), (FirstPage, 0));
        Assert.Equal(4UL << 12, _service.Size);
        Assert.Equal([(GuestRam.Start + (1020 << 12), 4u << 12)], _reclaimed);

        // It says that there are more than it lists.
        _guest.Host.Clock.Advance(Second);
        Next();
        _guest.Put(6, 0, [], [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
        Assert.Equal(4UL << 12, _service.Size);
        _guest.Put(6, 0, [], [3, 0, 0, 0]);
        _guest.Put(6, 0, [], []);
        Random random = new(6);
        for (int i = 0; i < 2000; i++)
        {
            byte[] junk = new byte[random.Next(8, 200)];
            random.NextBytes(junk);
            (junk[0], junk[1]) = ((byte)random.Next(12), 0);
            _guest.Put(6, 0, [], junk);
            _guest.Host.Clock.Advance(Second / 2);
            while (_guest.Take() is not null)
            {
            }
        }

        Assert.InRange(_service.Size, 0UL, GuestRam.Length);
    }

    [Fact]
    public void VersionsAndStatusAreHeard()
    {
        _guest.Bus.Start();
        _guest.Open();
        Assert.Equal((2u, 0u), Ask(1, 0x9_0000));
        Assert.Equal((2u, 1u), Ask(1, 0x2_0000));
        Assert.Null(_service.Pressure);
        Send(5, 1000, 0, 500, 0, 0, 0, 0, 0, 0, 0);
        Assert.Equal((1000UL << 12, 500UL << 12), _service.Pressure);
    }

    [Fact]
    public void PagesThatAGuestHasGivenAreKnownInAnotherMachine()
    {
        Connect();
        _service.Target = 100 << 12;
        Next();
        Give(more: true, (FirstPage + 256, 64));
        _guest.GoOn(Build);
        Assert.Equal((64UL << 12, 100UL << 12), (_service.Size, _service.Target));
        Give(more: false, (FirstPage + 256, 1), (FirstPage + 512, 36));
        Assert.Equal(100UL << 12, _service.Size);
        _service.Target = 50 << 12;
        Assert.Equal((FirstPage + 256) | (50UL << 40), BitConverter.ToUInt64(_guest.Take()!.Data, 16));

        // It was told, and has not said that it knows.
        _guest.GoOn(Build);
        _service.Target = 0;
        Assert.Null(_guest.Take());
        Send(9);
        VmBusGuest.Packet rest = _guest.Take()!;
        Assert.Equal([(FirstPage + 306) | (14UL << 40), (FirstPage + 512) | (36UL << 40)], [BitConverter.ToUInt64(rest.Data, 16), BitConverter.ToUInt64(rest.Data, 24)]);
    }

    [Fact]
    public void AStateThatCannotBeIsRefused()
    {
        Connect();
        _service.Target = 100 << 12;
        Next();
        Give(more: true, (FirstPage + 256, 64));
        _guest.RefusesWhatCannotBe("dynamicmemory0", Build);
    }

    private void Build(VmBusController bus) => _service = new DynamicMemoryService(bus, _guest.Ram.Memory, this);

    private void Connect(uint capabilities = 1)
    {
        _guest.Bus.Start();
        Assert.Equal(new Guid("525074dc-8985-46e2-8057-a307dc18a502"), _guest.Open());
        Assert.Equal((2u, 1u), Ask(1, 0x1_0000));
        Assert.Equal((4u, 1u), Ask(3, capabilities, 0, 0, 0, 0, 0));
    }

    private (uint Type, uint Accepted) Ask(uint type, params uint[] words)
    {
        Send(type, words);
        return Next();
    }

    private (uint Type, uint First) Next()
    {
        VmBusGuest.Packet? packet = _guest.Take();
        Assert.NotNull(packet);
        return (packet.Word(0) & 0xffff, packet.Word(8));
    }

    private void Send(uint type, params uint[] words)
    {
        byte[] message = new byte[8 + (words.Length * 4)];
        message[0] = (byte)type;
        Buffer.BlockCopy(words, 0, message, 8, words.Length * 4);
        _guest.Put(6, 0, [], message);
    }

    private void Give(bool more, params (ulong Page, ulong Count)[] ranges)
    {
        Send(7, [0, ((uint)ranges.Length << 1) | (more ? 1u : 0), .. ranges.SelectMany(static r => (uint[])[(uint)r.Page, (uint)((r.Page | (r.Count << 40)) >> 32)])]);
    }
}
