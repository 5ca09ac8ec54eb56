using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Virtio.Balloon;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Balloon;

/// <summary>Pages that a guest gives, and what it tells of its memory.</summary>
public sealed class BalloonDeviceTests : IMemoryReclaimer, IBalloonObserver, IDisposable
{
    private const ulong Version1 = 1UL << 32;
    private const ulong Statistics = 1UL << 1;
    private const ulong Reporting = 1UL << 5;
    private const uint FirstPage = (uint)(GuestRam.Start >> 12);
    private readonly GuestRam _ram = new();
    private readonly BalloonDevice _device;
    private readonly TestBus _bus;
    private readonly List<(ulong Page, uint Count)> _reclaimed = [];
    private DriverQueue[] _queues = [];
    private int _told;

    public BalloonDeviceTests()
    {
        _device = new BalloonDevice("balloon0", new CheckedLock(), _ram.Memory, this, deflatesOnOutOfMemory: true, reportsFreePages: true);
        _device.SetObserver(this);
        _bus = new TestBus(_device);
    }

    public void Dispose() => _ram.Dispose();

    void IMemoryReclaimer.Reclaim(GuestBuffer pages)
    {
        Assert.Equal(_ram.Memory.GetHostAddress(pages.Address, pages.Length), pages.HostAddress);
        Assert.Equal(0UL, (pages.Address | pages.Length) % GuestMemory.PageSize);
        _reclaimed.Add(((pages.Address - GuestRam.Start) >> 12, pages.Length >> 12));
    }

    void IBalloonObserver.OnStatistics() => _told++;

    [Fact]
    public void TheTargetIsToldAndTheSizeIsHeard()
    {
        Begin(Statistics);
        _bus.Sent.Clear();
        _device.TargetPages = 1000;
        Assert.Equal([0u], _bus.Sent);
        Assert.Equal(1000UL, _bus.Read(0x2000, 4));
        _bus.Write(0x2000, 5, 4);
        Assert.Equal(1000u, _device.TargetPages);
        _bus.Write(0x2004, 700, 4);
        Assert.Equal(700u, _device.ActualPages);
        _bus.Status = 0;
        Assert.Equal((1000u, 0u), (_device.TargetPages, _device.ActualPages));
        Assert.Equal(4UL, _bus.OfferedFeatures & 4);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PagesGoBackInRuns(bool packed)
    {
        Begin(Statistics, packed);
        Give(0, FirstPage + 10, FirstPage + 11, FirstPage + 12, FirstPage + 9, FirstPage + 100, FirstPage + 20, FirstPage + 19);
        Assert.Equal([(9, 4), (100, 1), (19, 2)], _reclaimed);
        _reclaimed.Clear();
        Give(1, FirstPage + 10);
        Assert.Empty(_reclaimed);
        Give(0, [.. Enumerable.Range(0, 500).Select(i => FirstPage + 1023 - (uint)i)]);
        Assert.Equal(500, _reclaimed.Sum(r => r.Count));
    }

    [Fact]
    public void WhatIsNotRamIsLeftAlone()
    {
        Begin(Statistics);
        Give(0, 0, FirstPage - 1, FirstPage, FirstPage + 1024, uint.MaxValue);
        Assert.DoesNotContain(_reclaimed, r => r.Count != 1);
        ulong odd = _ram.Allocate(3);
        _queues[0].Add([(odd, 3)], []);
        _bus.Kick(0);
        Assert.NotNull(_queues[0].Take());
        Assert.Equal(15, _bus.Status);
    }

    [Theory]
    [InlineData(Statistics | Reporting, 3)]
    [InlineData(Reporting, 2)]
    public void FreePagesAreReportedOnTheLastQueue(ulong features, int queue)
    {
        Begin(features);
        ulong range = _ram.Allocate(0x8000);
        ulong aligned = (range + 4095) & ~4095UL;
        _queues[queue].Add([], [(range, 0x8000), (aligned, 4096), (aligned + 1, 4095)]);
        _bus.Kick(queue);
        Assert.NotNull(_queues[queue].Take());
        uint whole = (uint)((range + 0x8000 - aligned) >> 12);
        Assert.Equal([((aligned - GuestRam.Start) >> 12, whole), ((aligned - GuestRam.Start) >> 12, 1)], _reclaimed);
        Assert.Equal((whole + 1UL) << 12, _device.ReportedBytes);
    }

    [Fact]
    public void ReportsOverTwoRegionsOfRamAreTaken()
    {
        using GuestRam ram = new(3);
        ram.Allocate(0x8000);
        List<(ulong, uint)> reclaimed = [];
        TestBus bus = new(new BalloonDevice("balloon1", new CheckedLock(), ram.Memory, new Reclaimer(p => reclaimed.Add((p.Address - GuestRam.Start, p.Length))), deflatesOnOutOfMemory: true, reportsFreePages: true));
        DriverQueue[] queues = [.. Enumerable.Range(0, 3).Select(_ => new DriverQueue(ram, 16, false, false))];
        bus.Begin(Version1 | Reporting, queues);
        queues[2].Add([], [(GuestRam.Start, 0x4000)]);
        bus.Kick(2);
        Assert.NotNull(queues[2].Take());
        ulong numbers = ram.Put([.. BitConverter.GetBytes(FirstPage), .. BitConverter.GetBytes(FirstPage + 1)]);
        queues[0].Add([(numbers, 8)], []);
        bus.Kick(0);
        Assert.Equal([(0UL, 0x1000u), (0x1000UL, 0x1000u), (0x2000UL, 0x2000u), (0UL, 0x1000u), (0x1000UL, 0x1000u)], reclaimed);
    }

    [Fact]
    public void WithoutAgreementNothingIsTakenFromReports()
    {
        Begin(Statistics);
        _queues[3].Add([], [(_ram.Allocate(0x4000), 0x4000)]);
        _bus.Kick(3);
        Assert.Empty(_reclaimed);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void StatisticsComeWhenAskedFor(bool packed)
    {
        Begin(Statistics, packed);
        Assert.False(_device.RequestStatistics());
        ulong at = _ram.Allocate(40);
        for (ulong round = 1; round < 20; round++)
        {
            Tell(at, (4, 1000 * round), (5, 2000), (77, 1));
            Assert.True(_device.TryGetStatistic(BalloonStatistic.FreeMemory, out ulong free));
            Assert.Equal(1000 * round, free);
            Assert.False(_device.TryGetStatistic(BalloonStatistic.SwapIn, out _));
            Assert.Null(_queues[2].Take());
            Assert.True(_device.RequestStatistics());
            Assert.False(_device.RequestStatistics());
            Assert.NotNull(_queues[2].Take());
        }

        _bus.Status = 0;
        Assert.False(_device.TryGetStatistic(BalloonStatistic.FreeMemory, out _));
    }

    [Fact]
    public void ADriverThatGivesTwoBuffersGetsOneBack()
    {
        Begin(Statistics);
        ulong at = _ram.Allocate(40);
        Tell(at, (4, 1));
        Tell(at, (4, 2));
        Assert.NotNull(_queues[2].Take());
        Assert.Null(_queues[2].Take());
    }

    [Fact]
    public void StateSurvivesSaveResetRestore()
    {
        Begin(Statistics);
        Tell(_ram.Allocate(40), (4, 1));
        _device.TargetPages = 9;
        _bus.Write(0x2004, 8, 4);
        _bus.Transport.Stop();
        StateBag saved = new();
        _bus.Transport.Save(saved);
        _bus.Transport.Reset();
        Assert.True(_bus.Transport.Restore(saved));
        _bus.Transport.Start();
        Assert.Equal((9u, 8u), (_device.TargetPages, _device.ActualPages));
        Assert.True(_device.RequestStatistics());
        Assert.NotNull(_queues[2].Take());
    }

    private void Begin(ulong features, bool packed = false)
    {
        _queues = [.. Enumerable.Range(0, 4).Select(_ => new DriverQueue(_ram, 16, packed, false))];
        _bus.Begin(Version1 | features | (packed ? 1UL << 34 : 0), _queues);
        _reclaimed.Clear();
    }

    private void Give(int queue, params uint[] pages)
    {
        byte[] bytes = new byte[pages.Length * 4];
        for (int i = 0; i < pages.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4 * i), pages[i]);
        }

        _queues[queue].Add([(_ram.Put(bytes), bytes.Length)], []);
        _bus.Kick(queue);
        Assert.NotNull(_queues[queue].Take());
    }

    private void Tell(ulong at, params (ushort Kind, ulong Value)[] entries)
    {
        byte[] bytes = new byte[entries.Length * 10];
        for (int i = 0; i < entries.Length; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10 * i), entries[i].Kind);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan((10 * i) + 2), entries[i].Value);
        }

        Assert.True(_ram.Memory.TryWrite(at, bytes));
        int before = _told;
        _queues[2].Add([(at, bytes.Length)], []);
        _bus.Kick(2);
        Assert.Equal(before + 1, _told);
    }

    private sealed class Reclaimer(Action<GuestBuffer> reclaims) : IMemoryReclaimer
    {
        public void Reclaim(GuestBuffer pages) => reclaims(pages);
    }
}
