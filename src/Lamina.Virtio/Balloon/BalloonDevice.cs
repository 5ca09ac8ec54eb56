using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Balloon;

/// <summary>
/// A memory balloon (virtio 1.2, section 5.5): pages that the guest puts into it, and free pages that it reports, go back to the host. All calls from outside may come on any
/// thread.
/// </summary>
public sealed class BalloonDevice : VirtioDevice
{
    /// <summary>Number of kinds of <see cref="BalloonStatistic"/>.</summary>
    public const int StatisticCount = 10;

    private const ushort QueueSize = 128;
    private const int QueueCount = 4;
    private const int InflateQueue = 0;
    private const int StatisticsQueue = 2;
    private const int MaximumParts = QueueSize;
    private const int PageShift = 12;
    private const int PageNumberLength = 4;
    private const int PagesAtOnce = 128;
    private const ulong MaximumPages = 16384;
    private const int StatisticLength = 10;
    private const int MaximumStatistics = 64;
    private const int ConfigurationLength = 8;
    private const int ActualOffset = 4;

    private readonly IMemoryReclaimer _reclaimer;
    private readonly DescriptorChain _chain;
    private readonly ulong _features;
    private readonly byte[] _configuration = new byte[ConfigurationLength];
    private readonly ulong[] _statistics = new ulong[StatisticCount];
    private readonly bool[] _known = new bool[StatisticCount];
    private IBalloonObserver? _observer;
    private ulong _reported;
    private ushort _heldId;
    private ushort _heldSlots;
    private bool _held;

    /// <summary>Makes a device.</summary>
    /// <param name="name">Unique in the machine.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="reclaimer">Takes the pages.</param>
    /// <param name="deflatesOnOutOfMemory">Whether the guest may take pages back, without being asked, before it kills programs.</param>
    /// <param name="reportsFreePages">Whether the guest is to tell of free pages.</param>
    public BalloonDevice(string name, ILock gate, GuestMemory memory, IMemoryReclaimer reclaimer, bool deflatesOnOutOfMemory, bool reportsFreePages)
        : base(name, DeviceType.Balloon, gate, memory, QueueCount, QueueSize)
    {
        _reclaimer = reclaimer;
        _chain = new DescriptorChain(memory, MaximumParts);
        _features = BalloonFeatures.Statistics
            | (deflatesOnOutOfMemory ? BalloonFeatures.DeflateOnOutOfMemory : 0)
            | (reportsFreePages ? BalloonFeatures.PageReporting : 0);
    }

    /// <summary>Pages that the guest is to have in the balloon.</summary>
    public uint TargetPages
    {
        get => ReadRegister(0);
        set
        {
            Gate.Enter();
            BinaryPrimitives.WriteUInt32LittleEndian(_configuration, value);
            ChangeConfiguration();
            Gate.Exit();
        }
    }

    /// <summary>Pages that it says it has there.</summary>
    public uint ActualPages => ReadRegister(ActualOffset);

    /// <summary>Bytes of free pages that it has reported so far, over and over.</summary>
    public ulong ReportedBytes
    {
        get
        {
            Gate.Enter();
            ulong reported = _reported;
            Gate.Exit();
            return reported;
        }
    }

    internal override ulong DeviceFeatures => _features;

    // Drivers give the queues that there are the numbers in order; those that were not agreed on are not there.
    private int ReportingQueue => !Has(BalloonFeatures.PageReporting) ? -1 : Has(BalloonFeatures.Statistics) ? StatisticsQueue + 1 : StatisticsQueue;

    /// <summary>Sets who is told of statistics.</summary>
    public void SetObserver(IBalloonObserver observer) => _observer = observer;

    /// <summary>Asks the guest for its statistics.</summary>
    /// <returns><c>false</c> if it cannot be asked now.</returns>
    public bool RequestStatistics()
    {
        Gate.Enter();
        bool asked = _held && IsServing;
        if (asked)
        {
            _held = false;
            Queues[StatisticsQueue].Push(_heldId, _heldSlots, 0);
            Publish(Queues[StatisticsQueue]);
        }

        Gate.Exit();
        return asked;
    }

    /// <summary>What the guest said last.</summary>
    /// <returns><c>false</c> if it has not told this.</returns>
    public bool TryGetStatistic(BalloonStatistic kind, out ulong value)
    {
        Gate.Enter();
        value = _statistics[(int)kind];
        bool known = _known[(int)kind];
        Gate.Exit();
        return known;
    }

    internal override void ReadConfiguration(uint offset, Span<byte> data)
    {
        for (int i = 0; i < data.Length && offset + (uint)i < ConfigurationLength; i++)
        {
            data[i] = _configuration[offset + (uint)i];
        }
    }

    internal override void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            uint at = offset + (uint)i;
            if (at is >= ActualOffset and < ConfigurationLength)
            {
                _configuration[at] = data[i];
            }
        }
    }

    private protected override bool AcceptsFeatures(ulong features) => true;

    private protected override void OnRunning()
    {
        for (int i = 0; i < QueueCount; i++)
        {
            OnNotified(i);
        }
    }

    private protected override void OnNotified(int queue)
    {
        if (queue == StatisticsQueue && Has(BalloonFeatures.Statistics))
        {
            TakeStatistics(Queues[queue]);
        }
        else
        {
            TakePages(queue);
        }
    }

    private protected override bool TryQuiesce()
    {
        // The guest that comes next has all its pages.
        BinaryPrimitives.WriteUInt32LittleEndian(_configuration.AsSpan(ActualOffset), 0);
        Array.Clear(_known);
        _held = false;
        _observer?.OnStatistics();
        return true;
    }

    private protected override void SaveDevice(IStateWriter state, ushort firstField)
    {
        state.Write(firstField, _configuration);
        state.Write((ushort)(firstField + 1), _held);
        state.Write((ushort)(firstField + 2), _heldId | ((ulong)_heldSlots << 16));
    }

    private protected override bool RestoreDevice(IStateReader state, ushort firstField)
    {
        uint held = 0;
        bool valid = state.TryTake(firstField, _configuration) & state.TryTake((ushort)(firstField + 1), ref _held) & state.TryTake((ushort)(firstField + 2), ref held);
        _heldId = (ushort)held;
        _heldSlots = (ushort)(held >> 16);

        // A place that the ring does not have would end in pages of somebody else.
        return valid && (!_held || (_heldId < QueueSize && _heldSlots <= QueueSize));
    }

    private uint ReadRegister(int offset)
    {
        Gate.Enter();
        uint value = BinaryPrimitives.ReadUInt32LittleEndian(_configuration.AsSpan(offset));
        Gate.Exit();
        return value;
    }

    private void TakePages(int number)
    {
        Virtqueue queue = Queues[number];
        do
        {
            queue.DisableNotifications();
            while (queue.Pop(_chain))
            {
                if (number == InflateQueue)
                {
                    Inflate();
                }
                else if (number == ReportingQueue)
                {
                    TakeReport();
                }

                queue.Push(_chain, 0);
            }
        }
        while (queue.EnableNotifications());

        Publish(queue);
    }

    // Pages come one by one, and often in a row.
    private void Inflate()
    {
        Span<byte> numbers = stackalloc byte[PagesAtOnce * PageNumberLength];
        ulong start = 0;
        ulong length = 0;
        ulong end = Math.Min(_chain.ReadableLength, MaximumPages * PageNumberLength);
        int count;
        for (ulong done = 0; done < end && (count = _chain.Read(done, numbers)) >= PageNumberLength; done += (ulong)count)
        {
            for (int at = 0; at + PageNumberLength <= count; at += PageNumberLength)
            {
                ulong page = (ulong)BinaryPrimitives.ReadUInt32LittleEndian(numbers[at..]) << PageShift;
                if (length != 0 && page == start + length)
                {
                    length += GuestMemory.PageSize;
                }
                else if (length != 0 && page + GuestMemory.PageSize == start)
                {
                    start = page;
                    length += GuestMemory.PageSize;
                }
                else
                {
                    Reclaim(start, length);
                    start = page;
                    length = GuestMemory.PageSize;
                }
            }
        }

        Reclaim(start, length);
    }

    private void TakeReport()
    {
        foreach (GuestBuffer part in _chain.Writable)
        {
            ulong start = (part.Address + GuestMemory.PageSize - 1) & ~(ulong)(GuestMemory.PageSize - 1);
            ulong end = (part.Address + part.Length) & ~(ulong)(GuestMemory.PageSize - 1);
            if (start < end)
            {
                _reported += end - start;
                Reclaim(start, end - start);
            }
        }
    }

    private void Reclaim(ulong address, ulong length)
    {
        while (length != 0)
        {
            ulong part = Math.Min(length, 1 << 30);
            nint host = Memory.GetHostPart(address, ref part);
            if (host != 0)
            {
                _reclaimer.Reclaim(new GuestBuffer(address, host, (uint)part));
                Memory.MarkWritten(address, part);
            }

            address += part;
            length -= part;
        }
    }

    // The driver gives one buffer, with what it has to tell, and gets it back when it is asked again.
    private void TakeStatistics(Virtqueue queue)
    {
        Span<byte> entry = stackalloc byte[StatisticLength];
        do
        {
            while (queue.Pop(_chain))
            {
                if (_held)
                {
                    queue.Push(_heldId, _heldSlots, 0);
                }

                for (int i = 0; i < MaximumStatistics && _chain.Read((ulong)(i * StatisticLength), entry) == StatisticLength; i++)
                {
                    int kind = BinaryPrimitives.ReadUInt16LittleEndian(entry);
                    if (kind < StatisticCount)
                    {
                        _statistics[kind] = BinaryPrimitives.ReadUInt64LittleEndian(entry[2..]);
                        _known[kind] = true;
                    }
                }

                _heldId = _chain.Id;
                _heldSlots = _chain.RingSlots;
                _held = true;
                _observer?.OnStatistics();
            }
        }
        while (queue.EnableNotifications());

        Publish(queue);
    }
}
