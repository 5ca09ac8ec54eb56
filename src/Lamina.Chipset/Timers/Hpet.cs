using Lamina.Chipset.Interrupts;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Time;

namespace Lamina.Chipset.Timers;

/// <summary>
/// High precision event timer (IA-PC HPET specification 1.0a): a 64-bit counter of 100 MHz and three comparators, each one-shot or periodic, with legacy
/// replacement routing. Without FSB delivery. Interrupts of a comparator come at most every 100 us; missed ones are dropped and the phase kept.
/// </summary>
public sealed class Hpet : IDevice, IRegisterWindow
{
    /// <summary>Nanoseconds a tick.</summary>
    public const ulong TickNanoseconds = 10;

    private const ulong WindowLength = 0x400;
    private const int ComparatorCount = 3;
    private const ulong FemtosecondsPerNanosecond = 1_000_000;
    private const ulong Revision = 1;
    private const ulong Vendor = 0x8086;
    private const ulong CounterIs64Bit = 1 << 13;
    private const ulong LegacyCapable = 1 << 15;

    private const ulong Capabilities = Revision | ((ComparatorCount - 1) << 8) | CounterIs64Bit | LegacyCapable | (Vendor << 16)
        | ((TickNanoseconds * FemtosecondsPerNanosecond) << 32);

    private const ulong Enable = 1;
    private const ulong LegacyReplacement = 2;
    private const ulong CapabilitiesOffset = 0x000;
    private const ulong ConfigurationOffset = 0x010;
    private const ulong StatusOffset = 0x020;
    private const ulong CounterOffset = 0x0f0;
    private const ulong FirstComparatorOffset = 0x100;

    private readonly ILock _gate;
    private readonly IMachineClock _clock;
    private readonly InterruptRouter _router;
    private readonly HpetComparator[] _comparators = new HpetComparator[ComparatorCount];
    private ulong _configuration;
    private ulong _status;

    // Running: the counter is this plus the clock in ticks (modulo 2^64). Halted: the counter.
    private ulong _counterBase;

    /// <summary>Makes it, in the state after power-on.</summary>
    public Hpet(string name, IMachineClock clock, ILock gate, InterruptRouter router)
    {
        Name = name;
        _clock = clock;
        _gate = gate;
        _router = router;
        for (int i = 0; i < ComparatorCount; i++)
        {
            _comparators[i] = new HpetComparator(this, i, clock, gate);
        }
    }

    /// <inheritdoc/>
    public string Name { get; }

    internal bool IsEnabled => (_configuration & Enable) != 0;

    internal bool IsRunning { get; private set; }

    internal ulong Counter => IsEnabled ? _counterBase + (_clock.Now / TickNanoseconds) : _counterBase;

    /// <summary>Maps the registers at <see cref="PcAddressMap.Hpet"/>.</summary>
    public void Map(AddressSpace mmio) => mmio.Map(Name, PcAddressMap.Hpet, WindowLength, this);

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        if (!IsRegisterAccess(offset, data.Length))
        {
            return AccessResult.BadWidth;
        }

        _gate.Enter();
        ulong value = ReadRegister(offset & ~7UL);
        _gate.Exit();
        LittleEndian.Put(data, value >> (int)(offset & 4) * 8);
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (!IsRegisterAccess(offset, data.Length))
        {
            return AccessResult.BadWidth;
        }

        int shift = (int)(offset & 4) * 8;
        ulong mask = (data.Length == 8 ? ulong.MaxValue : uint.MaxValue) << shift;
        _gate.Enter();
        for (int i = 0; i < ComparatorCount; i++)
        {
            _comparators[i].MatchIfDue();
        }

        WriteRegister(offset & ~7UL, LittleEndian.Get(data) << shift, mask);
        _gate.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        IsRunning = true;
        ScheduleAll();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _gate.Enter();
        IsRunning = false;
        ScheduleAll();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        for (int i = 0; i < ComparatorCount; i++)
        {
            DriveLine(i, false);
        }

        _configuration = 0;
        _status = 0;
        _counterBase = 0;
        _router.LegacyReplacement = false;
        for (int i = 0; i < ComparatorCount; i++)
        {
            _comparators[i].Reset();
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _configuration);
        state.Write(2, _status);
        state.Write(3, _counterBase);
        for (int i = 0; i < ComparatorCount; i++)
        {
            _comparators[i].Save(state, (ushort)(10 * (i + 1)));
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(1, ref _configuration) & state.TryTake(2, ref _status) & state.TryTake(3, ref _counterBase);
        for (int i = 0; i < ComparatorCount; i++)
        {
            valid &= _comparators[i].Restore(state, (ushort)(10 * (i + 1)));
        }

        valid &= (_configuration & ~(Enable | LegacyReplacement)) == 0 && _status < 1 << ComparatorCount;
        _router.LegacyReplacement = valid && (_configuration & LegacyReplacement) != 0;
        return valid;
    }

    /// <summary>A comparator matches. The lock is held.</summary>
    internal void OnMatch(int index)
    {
        HpetComparator comparator = _comparators[index];
        if (comparator.IsLevel)
        {
            _status |= 1UL << index;
            DriveLine(index, comparator.IsInterruptEnabled);
        }
        else if (comparator.IsInterruptEnabled)
        {
            DriveLine(index, true);
            DriveLine(index, false);
        }
    }

    /// <summary>A comparator's configuration is about to change (its line is released), or has changed (a level is driven again). The lock is held.</summary>
    internal void RefreshLine(int index, bool release)
    {
        HpetComparator comparator = _comparators[index];
        DriveLine(index, !release && IsEnabled && comparator.IsLevel && comparator.IsInterruptEnabled && (_status >> index & 1) != 0);
    }

    private static bool IsRegisterAccess(ulong offset, int length) => (length == 4 && (offset & 3) == 0) || (length == 8 && (offset & 7) == 0);

    private void DriveLine(int index, bool asserted)
    {
        if (index < 2 && (_configuration & LegacyReplacement) != 0)
        {
            _router.SetReplacedLine(index == 0 ? PcAddressMap.PitIrq : PcAddressMap.RtcIrq, asserted);
        }
        else if (_comparators[index].Route != 0)
        {
            _router.SetLine(_comparators[index].Route, asserted);
        }
    }

    private void ScheduleAll()
    {
        for (int i = 0; i < ComparatorCount; i++)
        {
            _comparators[i].Schedule();
        }
    }

    private ulong ReadRegister(ulong offset)
    {
        switch (offset)
        {
            case CapabilitiesOffset:
                return Capabilities;
            case ConfigurationOffset:
                return _configuration;
            case StatusOffset:
                return _status;
            case CounterOffset:
                return Counter;
            default:
                ulong index = (offset - FirstComparatorOffset) / 0x20;
                return offset >= FirstComparatorOffset && index < ComparatorCount ? _comparators[index].Read((offset >> 3) & 3) : 0;
        }
    }

    private void WriteRegister(ulong offset, ulong value, ulong mask)
    {
        switch (offset)
        {
            case CapabilitiesOffset:
                break;
            case ConfigurationOffset:
                WriteConfiguration(((_configuration & ~mask) | (value & mask)) & (Enable | LegacyReplacement));
                break;
            case StatusOffset:
                _status &= ~(value & mask);
                for (int i = 0; i < ComparatorCount; i++)
                {
                    if (_comparators[i].IsLevel)
                    {
                        RefreshLine(i, release: false);
                    }
                }

                break;
            case CounterOffset:
                ulong counter = (Counter & ~mask) | (value & mask);
                _counterBase = IsEnabled ? counter - (_clock.Now / TickNanoseconds) : counter;
                ScheduleAll();
                break;
            default:
                ulong index = (offset - FirstComparatorOffset) / 0x20;
                if (offset >= FirstComparatorOffset && index < ComparatorCount)
                {
                    _comparators[index].Write((offset >> 3) & 3, value, mask);
                }

                break;
        }
    }

    private void WriteConfiguration(ulong value)
    {
        ulong counter = Counter;
        for (int i = 0; i < ComparatorCount; i++)
        {
            if (_comparators[i].IsLevel)
            {
                RefreshLine(i, release: true);
            }
        }

        _configuration = value;
        _counterBase = IsEnabled ? counter - (_clock.Now / TickNanoseconds) : counter;
        _router.LegacyReplacement = (value & LegacyReplacement) != 0;
        for (int i = 0; i < ComparatorCount; i++)
        {
            if (_comparators[i].IsLevel)
            {
                RefreshLine(i, release: false);
            }
        }

        ScheduleAll();
    }
}
