using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Machine.Time;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Memory;

/// <summary>
/// Dynamic memory (Linux, drivers/hv/hv_balloon.c) in its versions 0.3 to 2.0: the guest is asked for so many pages, says which it gives, and is told which it has again. It gives what it can spare, and is asked
/// again once a second while that is not enough. Pages that it names are bits here, so that none counts twice. RAM that a machine does not have at the start counts as given back, and is added piece by piece
/// (hot-add) when more is wanted than the guest has in all; what was added stays, and is given back as the other is. Pieces are as long as the guest needs them. One that it refuses it is told of again, after 1, 2, 4 and 8 seconds:
/// a failure may pass, and drivers that do not know how long their system's blocks of memory are (Linux's before 6.10, where they are longer than 128 MiB) call one that does not so, too.
/// </summary>
public sealed partial class DynamicMemoryService : IVmBusDevice, IBalloon, IHotAdd, ITimerTarget, IResetTarget
{
    private const ulong Period = 1_000_000_000;
    private const int Header = 8;
    private const int ResponseLength = 16;
    private const int StatusLength = 48;
    private const uint Version03 = 3;
    private const uint Version10 = 0x1_0000;
    private const uint Version20 = 0x2_0000;
    private const uint MorePages = 1;
    private const int RangeLength = sizeof(ulong);
    private const int MostRanges = 250;
    private const int PageBits = 40;
    private const ulong PageMask = (1UL << PageBits) - 1;
    private const ulong MostPagesOfRange = (1 << 24) - 1;

    // What a guest says that it can, and needs: memory is added at multiples of so many MiB, a power of two.
    private const int HotAddCapability = 1 << 1;
    private const int AlignmentShift = 2;
    private const int AlignmentMask = 0xf;
    private const int LeastAlignment = 7;
    private const int PageShiftOfMegabyte = 8;

    // As often as it refuses, it is asked again after twice as long.
    private const int MostRefusals = 5;

    private readonly VmBusController _bus;
    private readonly PageReclaim _reclaim;
    private readonly GivenPages _given;
    private readonly ulong _memorySize;
    private readonly IClockTimer _timer;
    private readonly byte[] _message = new byte[ResponseLength + (MostRanges * RangeLength)];
    private VmBusChannel? _channel;
    private ulong _target;
    private ulong _available;
    private ulong _committed;
    private Phase _phase;
    private bool _due;
    private ulong _rest;
    private ulong _from;
    private uint _transaction;

    // RAM that the guest does not have at the start, in pages, and how much of it the guest has now.
    private readonly ulong _laterStart;
    private readonly ulong _laterCount;
    private ulong _added;
    private bool _adds;

    // How long pieces are, whether it has all that it can have, how often it has refused, and for how many seconds it is left alone.
    private byte _alignment = LeastAlignment;
    private bool _hasLimit;
    private byte _refusals;
    private int _pause;
    private IHotAddObserver? _observer;

    /// <summary>Makes it and puts it on the bus.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="memory">Guest RAM, all that there can be.</param>
    /// <param name="reclaimer">Takes the pages.</param>
    /// <param name="later">What of it the guest does not have at the start: a multiple of 128 MiB, at a multiple of that; null for none.</param>
    public DynamicMemoryService(VmBusController bus, GuestMemory memory, IMemoryReclaimer reclaimer, GuestMemoryRegion? later = null)
    {
        ArgumentNullException.ThrowIfNull(bus);
        ArgumentNullException.ThrowIfNull(memory);
        _bus = bus;
        _reclaim = new PageReclaim(memory, reclaimer);
        _given = new GivenPages(memory);
        _memorySize = memory.Size;
        _laterStart = (later?.Address ?? 0) / GuestMemory.PageSize;
        _laterCount = (later?.Length ?? 0) / GuestMemory.PageSize;
        _timer = bus.Clock.CreateTimer(this);
        bus.TryAdd(this);
    }

    private enum Phase
    {
        /// <summary>No driver, or one that has not agreed yet.</summary>
        Silent,

        /// <summary>Nothing is under way.</summary>
        Idle,

        /// <summary>The guest was asked for pages.</summary>
        Asked,

        /// <summary>It is being told which it has again.</summary>
        Returning,

        /// <summary>It was told, and has not said that it knows.</summary>
        Returned,

        /// <summary>It was told to add a piece, and has not said how that went.</summary>
        Adding,
    }

    /// <inheritdoc/>
    public ulong Target
    {
        get => Volatile.Read(ref _target);
        set
        {
            _bus.Gate.Enter();
            _target = Math.Min(value, _memorySize) / GuestMemory.PageSize * GuestMemory.PageSize;
            _due = true;
            (_refusals, _pause) = (0, 0);
            Poll();
            _bus.Gate.Exit();
        }
    }

    /// <inheritdoc/>
    public HotAddState HotAdd
    {
        get
        {
            _bus.Gate.Enter();
            HotAddState state = new(FindObstacle(), _phase == Phase.Adding, PiecePages * GuestMemory.PageSize, UnreachablePages * GuestMemory.PageSize);
            _bus.Gate.Exit();
            return state;
        }
    }

    /// <inheritdoc/>
    public ulong Size
    {
        get
        {
            _bus.Gate.Enter();
            ulong size = (_given.Count + Missing) * GuestMemory.PageSize;
            _bus.Gate.Exit();
            return size;
        }
    }

    /// <summary>Bytes that the guest's programs could have, and that they were promised, as it told last; null if it has not. Any thread.</summary>
    public (ulong Available, ulong Committed)? Pressure
    {
        get
        {
            _bus.Gate.Enter();
            (ulong, ulong)? pressure = _available == 0 ? null : (_available, _committed);
            _bus.Gate.Exit();
            return pressure;
        }
    }

    string IVmBusDevice.Name => "dynamicmemory0";

    Guid IVmBusDevice.InterfaceType { get; } = new(0x525074dc, 0x8985, 0x46e2, 0x80, 0x57, 0xa3, 0x07, 0xdc, 0x18, 0xa5, 0x02);

    Guid IVmBusDevice.InstanceId { get; } = new(0x1eccfd72, 0x4b41, 0x45ef, 0xb7, 0x3a, 0x4a, 0x6e, 0x44, 0xc1, 0x29, 0x24);

    int IVmBusDevice.PageQuota => 64;

    int IVmBusDevice.SubChannelCount => 0;

    int IVmBusDevice.SubChannelPages => 0;

    bool IVmBusDevice.IsPipe => false;

    bool IVmBusDevice.IsReady => true;

    // Pages that the guest has never had.
    private ulong Missing => _laterCount - _added;

    // Where the next piece begins.
    private ulong NextPiece => _laterStart + _added;

    private ulong PiecePages => 1UL << (_alignment + PageShiftOfMegabyte);

    // What of it lies as no piece can.
    private ulong UnreachablePages => NextPiece % PiecePages == 0 ? Missing % PiecePages : Missing;

    private bool CanAdd => _adds && !_hasLimit && _refusals < MostRefusals && Missing > UnreachablePages;

    /// <inheritdoc/>
    public void SetObserver(IHotAddObserver observer) => _observer = observer;

    /// <inheritdoc/>
    public void OnTimer()
    {
        _bus.Gate.Enter();
        _due = true;
        _pause -= _pause > 0 ? 1 : 0;
        Poll();
        if (!_bus.IsStopped && _channel is not null)
        {
            _timer.Arm(_bus.Clock.Now + Period);
        }

        _bus.Gate.Exit();
    }

    void IVmBusDevice.OnStarted()
    {
        _bus.Gate.Enter();
        if (_channel is not null)
        {
            _timer.Arm(_bus.Clock.Now);
        }

        _bus.Gate.Exit();
    }

    void IVmBusDevice.OnStopping() => _timer.Cancel();

    void IVmBusDevice.OnOpened(VmBusChannel channel)
    {
        _channel = channel;
        _timer.Arm(_bus.Clock.Now + Period);
    }

    // A driver that is gone has its pages, or nobody knows of them any more.
    void IVmBusDevice.OnClosed(VmBusChannel channel)
    {
        _channel = null;
        Forget();
        _timer.Cancel();
    }

    void IVmBusDevice.OnRoom() => Poll();

    void IVmBusDevice.OnProcessed()
    {
    }

    void IVmBusDevice.Drain()
    {
    }

    void IVmBusDevice.OnPacket(VmBusChannel channel, in VmBusPacket packet)
    {
        ReadOnlySpan<byte> data = packet.Data;
        if (data.Length < Header)
        {
            return;
        }

        DynamicMemoryMessage type = (DynamicMemoryMessage)BinaryPrimitives.ReadUInt16LittleEndian(data);
        uint transaction = BinaryPrimitives.ReadUInt32LittleEndian(data[4..]);
        switch (type)
        {
            case DynamicMemoryMessage.VersionRequest when data.Length >= Header + sizeof(uint):
                uint version = BinaryPrimitives.ReadUInt32LittleEndian(data[Header..]);
                Respond(channel, DynamicMemoryMessage.VersionResponse, transaction, version is Version03 or Version10 or Version20);
                break;
            case DynamicMemoryMessage.CapabilitiesReport:
                Respond(channel, DynamicMemoryMessage.CapabilitiesResponse, transaction, accepted: true);
                int capabilities = data[Header..].IsEmpty ? 0 : data[Header];
                _adds = (capabilities & HotAddCapability) != 0;
                _alignment = _phase == Phase.Adding ? _alignment : (byte)Math.Max(LeastAlignment, (capabilities >> AlignmentShift) & AlignmentMask);
                _phase = _phase == Phase.Silent ? Phase.Idle : _phase;
                _due = true;
                break;
            case DynamicMemoryMessage.StatusReport when data.Length >= StatusLength:
                _available = BinaryPrimitives.ReadUInt64LittleEndian(data[Header..]) * GuestMemory.PageSize;
                _committed = BinaryPrimitives.ReadUInt64LittleEndian(data[(Header + 8)..]) * GuestMemory.PageSize;
                break;
            case DynamicMemoryMessage.BalloonResponse when data.Length >= ResponseLength && _phase == Phase.Asked:
                uint header = BinaryPrimitives.ReadUInt32LittleEndian(data[(Header + 4)..]);
                TakePages(data[ResponseLength..], header >> 1);
                _phase = (header & MorePages) != 0 ? Phase.Asked : Phase.Idle;
                break;
            case DynamicMemoryMessage.UnballoonResponse when _phase == Phase.Returned:
                _phase = Phase.Idle;
                break;
            case DynamicMemoryMessage.HotAddResponse when data.Length >= ResponseLength && _phase == Phase.Adding:
                EndAdding(BinaryPrimitives.ReadUInt32LittleEndian(data[Header..]), BinaryPrimitives.ReadUInt32LittleEndian(data[(Header + 4)..]) != 0);
                break;
        }

        Poll();
    }

    /// <summary>A guest that starts again is told of what there is at the start alone. While nothing runs.</summary>
    void IResetTarget.OnReset()
    {
        Reclaim(_laterStart, _laterStart + _added);
        _added = 0;
    }

    // Success of fewer pages is a limit of the guest's, and a failure of all may pass (Linux, hot_add_req).
    private void EndAdding(uint pages, bool succeeded)
    {
        ulong added = Math.Min(pages, PiecePages);
        bool isRefused = added == 0 && !succeeded;
        bool isWhole = added == PiecePages;
        _added += added;
        _phase = Phase.Idle;
        _hasLimit = !isWhole && !isRefused;
        _refusals = isRefused ? (byte)Math.Min(_refusals + 1, MostRefusals) : (byte)0;
        _pause = GetPause();
        _due |= isWhole;
        _observer?.OnHotAddAnswer();
    }

    private int GetPause() => _refusals == 0 ? 0 : 1 << (_refusals - 1);

    private HotAddObstacle FindObstacle()
    {
        ulong wanted = _target / GuestMemory.PageSize;
        return wanted >= Missing || _phase == Phase.Silent ? HotAddObstacle.None
            : !_adds ? HotAddObstacle.Unsupported
            : _hasLimit ? HotAddObstacle.Limit
            : wanted < UnreachablePages ? HotAddObstacle.Alignment
            : _refusals >= MostRefusals ? HotAddObstacle.GivenUp
            : _refusals > 0 ? HotAddObstacle.Refused
            : HotAddObstacle.None;
    }

    private void Forget()
    {
        _phase = Phase.Silent;
        (_adds, _hasLimit, _alignment, _refusals, _pause) = (false, false, LeastAlignment, 0, 0);
        _given.Clear();
        _available = _committed = 0;
    }

    private static void Respond(VmBusChannel channel, DynamicMemoryMessage type, uint transaction, bool accepted)
    {
        Span<byte> response = stackalloc byte[ResponseLength];
        Begin(response, type, ResponseLength, transaction);
        response[Header] = accepted ? (byte)1 : (byte)0;
        channel.TrySend(VmBusPacket.InBand, 0, response);
    }

    private static void Begin(Span<byte> message, DynamicMemoryMessage type, int length, uint transaction)
    {
        message.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(message, (ushort)type);
        BinaryPrimitives.WriteUInt16LittleEndian(message[2..], (ushort)length);
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], transaction);
    }

    // A guest that names more than there is, is not listened to.
    private void TakePages(ReadOnlySpan<byte> ranges, uint count)
    {
        ulong looked = 0;
        count = (uint)Math.Min(count, ranges.Length / RangeLength);
        for (int i = 0; i < count && looked < _given.Length; i++)
        {
            ulong range = BinaryPrimitives.ReadUInt64LittleEndian(ranges[(i * RangeLength)..]);
            ulong page = range & PageMask;
            ulong end = Math.Min(page + (range >> PageBits), _given.Length);
            ulong run = page;
            for (; page < end && looked < _given.Length; page++, looked++)
            {
                if (page - NextPiece < Missing || !_given.TryAdd(page))
                {
                    Reclaim(run, page);
                    run = page + 1;
                }
            }

            Reclaim(run, page);
        }
    }

    private void Reclaim(ulong page, ulong end)
    {
        if (page < end)
        {
            _reclaim.Reclaim(page * GuestMemory.PageSize, (end - page) * GuestMemory.PageSize);
        }
    }

    private void Poll()
    {
        if (_bus.IsStopped || _channel is not { } channel)
        {
            return;
        }

        // What the guest has never had is given back already.
        ulong wanted = _target / GuestMemory.PageSize;
        ulong target = wanted > Missing ? wanted - Missing : 0;
        if (_phase == Phase.Idle && _given.Count > target)
        {
            (_phase, _rest, _from) = (Phase.Returning, _given.Count - target, 0);
        }

        if (_phase == Phase.Returning)
        {
            Return(channel);
        }
        else if (_phase == Phase.Idle && _given.Count < target && _due)
        {
            Span<byte> request = _message.AsSpan(0, ResponseLength);
            Begin(request, DynamicMemoryMessage.BalloonRequest, ResponseLength, ++_transaction);
            BinaryPrimitives.WriteUInt32LittleEndian(request[Header..], (uint)Math.Min(target - _given.Count, uint.MaxValue));
            _due = false;
            _phase = channel.TrySend(VmBusPacket.InBand, 0, request) ? Phase.Asked : Phase.Idle;
        }
        else if (_phase == Phase.Idle && wanted < Missing && CanAdd && _due && _pause == 0)
        {
            Span<byte> request = _message.AsSpan(0, ResponseLength);
            Begin(request, DynamicMemoryMessage.HotAddRequest, ResponseLength, ++_transaction);
            BinaryPrimitives.WriteUInt64LittleEndian(request[Header..], NextPiece | (PiecePages << PageBits));
            _due = false;
            _phase = channel.TrySend(VmBusPacket.InBand, 0, request) ? Phase.Adding : Phase.Idle;
        }
    }

    // Which pages the guest has again, in as many messages as it takes.
    private void Return(VmBusChannel channel)
    {
        while (_rest != 0)
        {
            if (!channel.HasRoom(_message.Length))
            {
                return;
            }

            int count = 0;
            for (; count < MostRanges && _rest != 0; count++)
            {
                ulong pages = _given.Take(ref _from, Math.Min(_rest, MostPagesOfRange), out ulong start);
                _rest = pages == 0 ? 0 : _rest - pages;
                if (pages == 0)
                {
                    break;
                }

                BinaryPrimitives.WriteUInt64LittleEndian(_message.AsSpan(ResponseLength + (count * RangeLength)), start | (pages << PageBits));
            }

            int length = ResponseLength + (count * RangeLength);
            Begin(_message.AsSpan(0, ResponseLength), DynamicMemoryMessage.UnballoonRequest, length, ++_transaction);
            BinaryPrimitives.WriteUInt32LittleEndian(_message.AsSpan(Header), _rest != 0 ? MorePages : 0);
            BinaryPrimitives.WriteInt32LittleEndian(_message.AsSpan(Header + 4), count);
            channel.TrySend(VmBusPacket.InBand, 0, _message.AsSpan(0, length));
        }

        _phase = Phase.Returned;
    }
}
